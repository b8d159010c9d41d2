package soaktest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// apply has the model take up a change, and holds that the change may be.
func (s *soak) apply(c *fleet.Change) {
	s.t.Helper()
	if c.Generation != int64(s.applied)+1 {
		s.fail("generation %d comes after %d", c.Generation, s.applied)
	}
	before := s.state
	s.state = before.with(c)
	s.applied++
	s.tally["log "+string(c.Kind)]++
	was, now := before.clusters(), s.state.clusters()
	s.past[c.Generation] = now
	delete(s.past, c.Generation-kept)
	for name, old := range was {
		if old.served() && !now[name].served() && c.Kind != fleet.Purged {
			s.fail("%s of generation %d leaves %s with nothing: %s, and was %s: %s", c.Kind, c.Generation, name, describe(now[name]), describe(old), encode(s.state.records[name]))
		}
	}
	if r := s.state.rollout; r != nil && r.at == c.Generation {
		s.checkTold(c, r.waves[r.entered-1].clusters, was, now)
	}
	if s.isGuarded(before, c) {
		if t := weigh(s.state.history.commits[before.live].guard, was, now); len(t.violations) > 0 {
			s.fail("%s of generation %d takes away %d inputs, against %s, and nobody said that it may", c.Kind, c.Generation, t.removed, slices.Sorted(maps.Keys(t.violations)))
		}
	}
}

// checkTold holds that the history of a cluster has the change: of a wave of clusters,
// and of those that are on another release by it.
func (s *soak) checkTold(c *fleet.Change, wave []string, was, now map[string]*cluster) {
	s.t.Helper()
	for name, is := range now {
		old := was[name]
		moved := old == nil || old.revision != is.revision || old.state != is.state
		if (moved || slices.Contains(wave, name)) && !slices.Contains(c.Clusters, name) {
			s.fail("generation %d reaches %s, and the history of %s does not tell: wave %s", c.Generation, c.Clusters, name, wave)
		}
	}
}

// kept is for how many generations back it is remembered what was served.
const kept = 50

// isGuarded tells whether a change must not take away more than the guard allows: one
// that a commit makes by itself.
func (s *soak) isGuarded(before state, c *fleet.Change) bool {
	if before.live == "" || c.Actor == actor {
		return false
	}
	if c.Reason == wentBack {
		return true
	}
	r := before.rollout
	allowed := r != nil && (r.approved || r.confirmed) && c.Release != nil && r.revision == c.Release.Revision
	return !allowed && (c.Kind == fleet.WentLive || c.Kind == fleet.ReleaseRolledOut)
}

// check holds what is served now, and what polls were answered, against the model.
func (s *soak) check() {
	s.t.Helper()
	v, err := s.server.View()
	if err != nil {
		s.fail("View() = %v", err)
	}
	s.checkView(v)
	for _, c := range []*crowd{s.crowd, s.onlookers} {
		heard, wrong := c.tell()
		if len(wrong) > 0 {
			s.fail("who polled complains: %s", wrong[0])
		}
		for q, told := range heard {
			s.checkAnswer(q, told)
		}
	}
}

// checkView holds all of a view against the model.
func (s *soak) checkView(v *fleet.View) {
	s.t.Helper()
	want := s.past[v.Generation()]
	if len(v.Members()) != len(want) {
		s.fail("generation %d has %d clusters, want %d: %s", v.Generation(), len(v.Members()), len(want), differing(v, want))
	}
	for _, m := range v.Members() {
		c := want[m.Cluster.Name]
		if c == nil {
			s.fail("generation %d has %s, which is none", v.Generation(), m.Cluster.Name)
		}
		if m.State != c.state || c.state != fleet.DecommissionedState && c.revision != "" && m.Release().Revision != c.revision {
			s.fail("%s is %s on %s, want %s on %s", c.name, m.State, m.Release().Revision, c.state, c.revision)
		}
		for _, set := range everySet {
			told, err := answerOf(m, set)
			if err != nil {
				s.fail("%s of %s: %v", set, c.name, err)
			}
			s.checkAnswer(question{v.Generation(), c.name, set}, told)
		}
	}
}

// differing are the clusters that are on one side only.
func differing(v *fleet.View, want map[string]*cluster) (names []string) {
	there := map[string]bool{}
	for _, m := range v.Members() {
		if there[m.Cluster.Name] = true; want[m.Cluster.Name] == nil {
			names = append(names, "+"+m.Cluster.Name)
		}
	}
	for name := range want {
		if !there[name] {
			names = append(names, "-"+name)
		}
	}
	slices.Sort(names)
	return names
}

// checkAnswer holds one answer against what history says that it was.
func (s *soak) checkAnswer(q question, told string) {
	s.t.Helper()
	all, known := s.past[q.generation]
	if !known {
		if q.generation > int64(s.applied) {
			s.fail("%+v was answered at a generation that there is not", q)
		}
		return // so long ago that only a reader that lags behind can be there
	}
	c := all[q.cluster]
	want := nothing
	if c != nil {
		want = cmp.Or(c.answer(q.set), nothing)
	}
	if told != want {
		s.fail("%+v is answered\n%s\nwant, of %s,\n%s", q, told, describe(c), want)
	}
	if told == `{"inputs":[]}` && c.state != fleet.DecommissionedState && q.set != "notes" && q.set != "memos" {
		s.fail("%+v is answered with nothing, which deletes everything", q)
	}
}

func describe(c *cluster) string {
	if c == nil {
		return "no cluster"
	}
	return fmt.Sprintf("%s %s on %s with faults %s", c.state, c.name, c.revision, c.faults)
}
