package soaktest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// This half of the state says what is to become of a commit or a write, from what is
// served: the guard, by the model.

// taken is what a step from one set of answers to another takes away.
type taken struct {
	violations map[string]bool // the rules of the guard that it goes beyond
	removed    int
}

// weigh holds what is taken from clusters against a guard.
func weigh(g fleet.Guard, before, after map[string]*cluster) taken {
	t := taken{violations: map[string]bool{}}
	total := 0
	for name, was := range before {
		now := after[name]
		total += was.inputs()
		if !was.served() || !now.served() || was.state == fleet.DecommissionedState || now.state == fleet.DecommissionedState {
			continue
		}
		lost := 0
		for set, inputs := range was.sets {
			left, there := now.sets[set]
			for id := range inputs {
				if _, kept := left[id]; !kept {
					lost++
				}
			}
			t.is("allowVanishedSets", !there && !g.AllowVanishedSets)
			t.is("allowEmptySets", there && len(left) == 0 && len(inputs) > 0 && !g.AllowEmptySets)
		}
		t.is("removedPerCluster", lost > g.RemovedPerCluster.Of(was.inputs()))
		t.is("allowOrphanedParts", !g.AllowOrphanedParts && slices.ContainsFunc(now.orphans, func(part string) bool { return !slices.Contains(was.orphans, part) }))
		t.removed += lost
	}
	t.is("removedPerFleet", t.removed > g.RemovedPerFleet.Of(total))
	return t
}

func (t taken) is(rule string, broken bool) {
	if broken {
		t.violations[rule] = true
	}
}

func (c *cluster) inputs() int {
	n := 0
	for _, inputs := range c.sets {
		n += len(inputs)
	}
	return n
}

// arrived is the state once a commit is live for the whole fleet, with the clusters that
// it is not good for: those stay on what they are on.
func (s state) arrived(c *commit) (state, []string) {
	before := s.clusters()
	next := s
	next.live, next.rollout, next.records = c.revision, nil, maps.Clone(s.records)
	edit := func(name string, do func(r *fleet.ClusterRecord)) {
		r := fleet.ClusterRecord{Cluster: name}
		if was := next.records[name]; was != nil {
			r = *was
		}
		do(&r)
		next.records[name] = &r
	}
	for name, r := range s.records {
		_, back := next.file(c.revision, name)
		edit(name, func(n *fleet.ClusterRecord) {
			if n.Stays = nil; back {
				n.Orphaned = nil
			}
		})
		if r.Stays != nil && r.Stays.Release.Revision == "" && r.Declared == nil && !back {
			delete(next.records, name)
		}
	}
	for name, was := range before {
		if _, there := next.file(c.revision, name); !there && was.state == fleet.Active && was.inGit && was.served() {
			edit(name, func(r *fleet.ClusterRecord) { r.Orphaned = &fleet.Orphaned{Release: was.release(), Labels: was.labels} })
		}
	}
	next.welcome(s)
	var failing []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append(next.names(), c.unreadableFiles()...)))) {
		now := next.cluster(name)
		f, there := c.clusters[name]
		unreadable := there && f.broken && (now == nil || now.state != fleet.DecommissionedState)
		if !unreadable && (now == nil || now.served()) {
			continue
		}
		failing = append(failing, name)
		was, not := before[name], next.pinnedTo(now)
		edit(name, func(r *fleet.ClusterRecord) {
			r.Orphaned, r.Stays = nil, &fleet.Stay{}
			if was.served() && was.state != fleet.DecommissionedState {
				r.Stays.Release = was.release()
			}
			r.Stays.Not = not
		})
	}
	next.welcome(s)
	return next, failing
}

// pinnedTo is the release of a pin that a cluster has faults on; nil for none.
func (s state) pinnedTo(c *cluster) *fleet.LiveRelease {
	if c == nil || c.served() || c.revision == "" {
		return nil
	}
	if p := s.pinOf(&c.subject); p != nil && p.Revision == c.revision {
		return &fleet.LiveRelease{Revision: p.Revision}
	}
	return nil
}

func (c *cluster) release() fleet.LiveRelease { return fleet.LiveRelease{Revision: c.revision} }

func (c *commit) unreadableFiles() []string {
	var names []string
	for name, f := range c.clusters {
		if f.broken {
			names = append(names, name)
		}
	}
	return names
}

// verdict is what is to become of a commit that the source is at.
type verdict struct {
	kind       fleet.ChangeKind // of the entry that it leads to; empty for none
	violations map[string]bool
	failing    []string
}

func (v verdict) String() string {
	return fmt.Sprintf("%q %v, failing: %d %.9s", v.kind, slices.Sorted(maps.Keys(v.violations)), len(v.failing), v.failing)
}

// try says what is to become of a commit that is neither live nor rolled out, held nor
// rejected already.
func (s state) try(c *commit) verdict {
	if c.unreadable {
		return verdict{kind: fleet.ReleaseFailed}
	}
	guard := c.guard
	if live := s.history.commits[s.live]; live != nil {
		guard = live.guard
	}
	next, failing := s.arrived(c)
	after := next.clusters()
	good := func(now *cluster) bool { return now.state == fleet.Active && !slices.Contains(failing, now.name) }
	if len(failing) > 0 && !slices.ContainsFunc(slices.Collect(maps.Values(after)), good) {
		return verdict{kind: fleet.ReleaseFailed, failing: failing}
	}
	t := weigh(guard, s.clusters(), after)
	t.is("failingClusters", len(failing) > guard.FailingClusters.Of(len(after)))
	switch {
	case len(t.violations) > 0:
		return verdict{fleet.ReleaseHeld, t.violations, failing}
	case len(s.waves(next)) > 1:
		return verdict{kind: fleet.ReleaseRolledOut, failing: failing}
	}
	return verdict{kind: fleet.WentLive, failing: failing}
}

// look says what is to become of the commit that the source is at.
func (s state) look(c *commit) verdict {
	back := s.live == c.revision && s.rollout != nil
	switch {
	case back && s.rollout.back:
		return verdict{}
	case back, s.newest.revision != "" && (s.live == c.revision || s.rolling() == c.revision):
		return verdict{kind: fleet.ReleaseRolledOut}
	case s.live == c.revision, s.rolling() == c.revision, s.newest.revision == c.revision && s.newest.kind == fleet.ReleaseHeld:
		return verdict{}
	}
	v := s.try(c)
	switch {
	case v.kind == fleet.ReleaseFailed && s.newest.revision == c.revision:
		return verdict{}
	case v.kind == fleet.ReleaseFailed:
	case s.rejected[c.revision], s.rollout != nil && s.rollout.paused:
		v.kind = fleet.ReleaseHeld
	}
	return v
}

// wave is some clusters that get a release together.
type wave struct {
	fleet.WaveRule
	clusters []string
}

// waves are those in which the fleet gets to a state that is to come: by the rules of
// the live release, and the rest.
func (s state) waves(next state) []wave {
	live := s.history.commits[s.live]
	if live == nil || len(live.waves) == 0 {
		return nil
	}
	waves := make([]wave, len(live.waves)+1)
	before, after := s.clusters(), next.clusters()
	for _, name := range slices.Sorted(maps.Keys(after)) {
		was := before[name]
		if was == nil || was.state != fleet.Active || after[name].state != fleet.Active {
			continue
		}
		at := slices.IndexFunc(live.waves, func(w fleet.WaveRule) bool { return matches(&w.Selector, was.labels) })
		if at < 0 {
			at = len(live.waves)
		}
		waves[at].clusters = append(waves[at].clusters, name)
	}
	for i, rule := range live.waves {
		waves[i].WaveRule = rule
	}
	return slices.DeleteFunc(waves, func(w wave) bool { return len(w.clusters) == 0 })
}

// wait says what the rollout waits for; "" where the next wave is due. A wave that
// nobody has the release in waits for somebody to skip it.
func (s state) wait(now time.Time, polled map[string]poll) string {
	r := s.rollout
	if r.paused {
		return "resume"
	}
	w := r.waves[r.entered-1]
	have, did := 0, 0
	for _, name := range w.clusters {
		c := s.cluster(name)
		if c == nil || c.state != fleet.Active || !c.served() || c.revision != r.revision {
			continue
		}
		have++
		if p := polled[name]; p.revision == r.revision && p.generation >= r.at {
			did++
		}
	}
	switch {
	case r.passed:
		return ""
	case have == 0:
		return "skip"
	case did*100 < have*w.Polled:
		return "polls"
	case now.Before(r.since.Add(w.Soak)):
		return "time"
	case w.Manual:
		return "gate"
	}
	return ""
}

// poll is the last one of a cluster.
type poll struct {
	revision   string
	generation int64
}
