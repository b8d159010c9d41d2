package soaktest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// state is what the change log adds up to, by the model: this half of it says which
// release each cluster is on, and so what it is served.
type state struct {
	history *history
	live    string // its revision
	rollout *rollout
	records map[string]*fleet.ClusterRecord
	deltas  map[string]inForce
	pins    map[string]*fleet.Pin
	// guests are clusters that are on a release which does not have their file, with
	// what that said last.
	guests map[string]subject
	// newest is the newest commit where the fleet does not go to that, and rejected
	// are all that somebody did not want.
	newest   candidate
	rejected map[string]bool
}

// rollout is a release that goes live wave by wave.
type rollout struct {
	revision string
	waves    []wave
	entered  int             // how many of them have it
	reached  map[string]bool // the clusters of those
	since    time.Time       // when the last of them got it, at that generation
	at       int64
	// Somebody allowed what it takes away: all of it, or what the next wave does.
	approved, confirmed bool

	paused bool
	beyond bool // is why it is paused: what the next wave takes away
	back   bool // the source went back to the live release, and it did not end by that
	passed bool // somebody let it pass the wave
}

// candidate is the newest commit, where the fleet does not go to that.
type candidate struct {
	revision string
	kind     fleet.ChangeKind // ReleaseHeld or ReleaseFailed
	at       int64            // the generation since when
}

// inForce is a delta since a generation.
type inForce struct {
	*fleet.Delta
	since int64
}

// history is all commits that there ever were, and what came of rendering them.
type history struct {
	commits  map[string]*commit
	rendered map[string]got
}

// cluster is one as it is served.
type cluster struct {
	subject
	state    fleet.ClusterState
	revision string // of the release that it is on; empty for none
	inGit    bool   // a file declares it
	got
}

// served tells whether a cluster is answered with inputs.
func (c *cluster) served() bool { return c != nil && c.sets != nil }

// answer is what a cluster is answered for a set. Most of it is asked again and again.
func (c *cluster) answer(set string) string {
	if c.answers == nil {
		c.answers = map[string]string{}
	}
	if _, known := c.answers[set]; !known {
		c.answers[set] = c.got.answer(c.subject, set)
	}
	return c.answers[set]
}

// with is the state after a change.
func (s state) with(c *fleet.Change) state {
	before := s
	s.records, s.deltas, s.pins, s.rejected = maps.Clone(s.records), maps.Clone(s.deltas), maps.Clone(s.pins), maps.Clone(s.rejected)
	for _, r := range c.Records {
		put(s.records, r.Cluster, r.After)
	}
	for _, d := range c.Deltas {
		delete(s.deltas, d.Delta)
		if d.After != nil {
			s.deltas[d.Delta] = inForce{d.After, c.Generation}
		}
	}
	for _, p := range c.Pins {
		put(s.pins, p.Pin, p.After)
	}
	s.welcome(before)
	s.follow(c, before)
	return s
}

// welcome notes what the files of clusters said that have come to be on a release
// which does not have them.
func (s *state) welcome(before state) {
	s.guests = maps.Clone(s.guests)
	for name, r := range s.records {
		if on := keptOn(r); on == nil || s.hasFile(on.Revision, name) {
			delete(s.guests, name)
		} else if old := before.records[name]; old == nil || keptOn(old) == nil || *keptOn(old) != *on {
			if was := before.cluster(name); was != nil && was.inGit {
				s.guests[name] = was.subject
			}
		}
	}
}

// keptOn is the release that the log has a cluster be on; nil for the fleet's.
func keptOn(r *fleet.ClusterRecord) *fleet.LiveRelease {
	switch {
	case r.Orphaned != nil:
		return &r.Orphaned.Release
	case r.Stays != nil:
		return &r.Stays.Release
	}
	return nil
}

func put[V any](m map[string]*V, key string, value *V) {
	delete(m, key)
	if value != nil {
		m[key] = value
	}
}

// follow has the fleet go where a change says.
func (s *state) follow(c *fleet.Change, before state) {
	verdict, _, _ := strings.Cut(c.Reason, ":")
	switch c.Kind {
	case fleet.WentLive:
		delete(s.rejected, c.Release.Revision)
		if s.rolling() != c.Release.Revision {
			s.newest = candidate{} // but what came while that was being rolled out is newer
		}
		s.live, s.rollout = c.Release.Revision, nil
	case fleet.ReleaseHeld, fleet.ReleaseFailed:
		s.newest = candidate{c.Release.Revision, c.Kind, c.Generation}
	case fleet.ReleaseDecided:
		s.decided(fleet.Verdict(verdict), c)
	case fleet.ReleaseRolledOut:
		switch {
		case c.Reason == wentBack:
			s.rollout, s.newest = nil, candidate{}
		case c.Reason == wentOn:
			s.newest = candidate{}
		case verdict == "paused":
			next := *s.rollout
			back := strings.Contains(c.Reason, wentBack)
			next.beyond = next.beyond || !back
			next.paused, next.back = true, next.back || back
			s.rollout = &next
		default:
			s.rolled(c, before)
		}
	}
}

// Reasons of changes that the source makes when it goes back to an earlier revision.
const (
	wentBack = "the source went back to the live release"
	wentOn   = "the source went back to the release that the fleet goes to"
)

// rolled has a release reach a wave: the first one of another release than was being
// rolled out.
func (s *state) rolled(c *fleet.Change, before state) {
	next := rollout{revision: c.Release.Revision, approved: strings.HasPrefix(c.Reason, string(fleet.Approve))}
	if s.rolling() == next.revision {
		next = *s.rollout
	} else {
		arrived, _ := before.arrived(s.history.commits[next.revision])
		next.waves, s.newest = before.waves(arrived), candidate{}
		delete(s.rejected, next.revision)
	}
	next.reached = maps.Clone(next.reached)
	if next.reached == nil {
		next.reached = map[string]bool{}
	}
	for _, name := range next.waves[next.entered].clusters {
		next.reached[name] = true
	}
	next.entered, next.since, next.at = next.entered+1, c.At, c.Generation
	next.confirmed, next.paused, next.beyond, next.passed = false, false, false, false
	s.rollout = &next
}

func (s *state) decided(v fleet.Verdict, c *fleet.Change) {
	switch v {
	case fleet.Reject:
		s.rejected[c.Release.Revision] = true
		return
	case fleet.Abort:
		s.rejected[c.Release.Revision] = true
		if s.newest.revision == "" {
			s.newest = candidate{c.Release.Revision, fleet.ReleaseHeld, c.Generation}
		}
		s.rollout = nil
		return
	}
	next := *s.rollout
	switch v {
	case fleet.Pause:
		next.paused = true
	case fleet.Resume:
		next.passed = next.passed || !next.paused || next.beyond
		next.confirmed, next.paused, next.beyond = next.beyond, false, false
	case fleet.Skip:
		next.confirmed, next.passed, next.paused, next.beyond = next.beyond, true, false, false
	}
	s.rollout = &next
}

// names are all clusters of which anything is known.
func (s state) names() []string {
	all := map[string]bool{}
	for name := range s.records {
		all[name] = true
	}
	for _, revision := range []string{s.live, s.rolling()} {
		if c := s.history.commits[revision]; c != nil {
			for name, f := range c.clusters {
				all[name] = all[name] || !f.broken
			}
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return !all[name] })
}

func (s state) rolling() string {
	if s.rollout == nil {
		return ""
	}
	return s.rollout.revision
}

// clusters are all, as they are served.
func (s state) clusters() map[string]*cluster {
	all := map[string]*cluster{}
	if s.live == "" {
		return all
	}
	for _, name := range s.names() {
		if c := s.cluster(name); c != nil {
			all[name] = c
		}
	}
	return all
}

// cluster is one as it is served; nil where there is no such.
func (s state) cluster(name string) *cluster {
	r := s.records[name]
	if r == nil {
		r = &fleet.ClusterRecord{}
	}
	if t := r.Decommissioned; t != nil {
		return &cluster{subject: subject{name: name, labels: t.Labels}, state: fleet.DecommissionedState, got: got{sets: s.emptied(t)}}
	}
	who, inGit := s.declared(name, r)
	if who == nil {
		return nil
	}
	c := &cluster{subject: *who, state: fleet.Active, inGit: inGit, revision: s.on(who, r)}
	if _, there := s.file(s.live, name); !there && r.Orphaned != nil {
		c.state, c.revision = fleet.OrphanedState, r.Orphaned.Release.Revision
	}
	if f, there := s.file(c.revision, name); there && inGit {
		c.subject = f
	} else if g, is := s.guests[name]; is && keptOn(r) != nil && keptOn(r).Revision == c.revision {
		c.subject, c.inGit = g, true
	}
	if c.revision != "" {
		c.got = s.history.render(c.revision, c.subject, s.deltasOf(c.subject))
	}
	return c
}

// on is the revision that a cluster is on: a pin holds first, unless it is not good for
// the cluster that came to be one of its, then that it stays
// behind, then a rollout that has reached it. One that came with the rollout is on that.
func (s state) on(who *subject, r *fleet.ClusterRecord) string {
	_, inLive := s.file(s.live, who.name)
	switch p := s.pinOf(who); {
	case p != nil && r.Stays != nil && r.Stays.Not != nil && r.Stays.Not.Revision == p.Revision:
		return r.Stays.Release.Revision
	case p != nil:
		return p.Revision
	case r.Stays != nil && r.Stays.Not == nil:
		return r.Stays.Release.Revision
	case s.rollout != nil && (s.rollout.reached[who.name] || !inLive && r.Declared == nil):
		return s.rollout.revision
	}
	return s.live
}

// pinOf is the pin of a cluster: one that names it before one that selects it, and of
// several the first by name.
func (s state) pinOf(who *subject) *fleet.Pin {
	var first *fleet.Pin
	for _, name := range slices.Sorted(maps.Keys(s.pins)) {
		p := s.pins[name]
		if slices.Contains(p.Clusters, who.name) {
			return p
		}
		if first == nil && p.Selector != nil && matches(p.Selector, who.labels) {
			first = p
		}
	}
	return first
}

// declared is who a cluster is, and whether a file says so: the one of the live
// release, else the API, else the file of what it stays on, else that of the rollout.
func (s state) declared(name string, r *fleet.ClusterRecord) (who *subject, inGit bool) {
	if f, there := s.file(s.live, name); there {
		return &f, true
	}
	if r.Orphaned != nil {
		if f, there := s.file(r.Orphaned.Release.Revision, name); there {
			return &f, true
		}
		if g, is := s.guests[name]; is {
			return &g, true
		}
		return &subject{name: name, labels: r.Orphaned.Labels}, false
	}
	if r.Declared != nil {
		return &subject{name: name, labels: r.Declared.Labels}, false
	}
	if r.Stays != nil {
		if f, there := s.file(r.Stays.Release.Revision, name); there {
			return &f, true
		}
		if g, is := s.guests[name]; is {
			return &g, true
		}
	}
	if f, there := s.file(s.rolling(), name); there {
		return &f, true
	}
	if r.Stays != nil {
		return &subject{name: name}, true
	}
	return nil, false
}

// file is what the file of a cluster says at a revision.
func (s state) file(revision, name string) (subject, bool) {
	c := s.history.commits[revision]
	if c == nil || c.unreadable {
		return subject{}, false
	}
	f, there := c.clusters[name]
	return subject{name, f.labels, f.patch}, there && !f.broken
}

func (s state) hasFile(revision, name string) bool {
	_, there := s.file(revision, name)
	return there
}

// emptied are the sets of a decommissioned cluster.
func (s state) emptied(t *fleet.Tombstone) map[string]map[string]spec {
	sets := map[string]map[string]spec{}
	for _, set := range t.Sets {
		sets[set] = nil
	}
	for _, set := range s.history.commits[s.live].sets {
		sets[set] = nil
	}
	return sets
}

// deltasOf are the deltas of a cluster in their order: by priority and name, and its
// own last.
func (s state) deltasOf(who subject) []inForce {
	var all []inForce
	for _, d := range s.deltas {
		if d.Cluster == who.name || slices.Contains(d.Clusters, who.name) || d.Selector != nil && matches(d.Selector, who.labels) {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b inForce) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// matches tells whether labels are selected. Nobody selects by expressions here.
func matches(s *fleet.Selector, labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// render remembers what it rendered. A delta that is not in the log yet is since 0,
// and nothing is remembered of it.
func (h *history) render(revision string, who subject, deltas []inForce) got {
	key := fmt.Sprint(revision, " ", who.name, " ", who.labels, " ", who.patch)
	plain, remember := []*fleet.Delta(nil), true
	for _, d := range deltas {
		key += fmt.Sprint(" ", d.ID(), d.since)
		plain, remember = append(plain, d.Delta), remember && d.since > 0
	}
	if g, known := h.rendered[key]; known && remember {
		return g
	}
	g := h.commits[revision].render(who, plain)
	g.answers = map[string]string{}
	if len(h.rendered) > 5000 {
		clear(h.rendered)
	}
	if remember {
		h.rendered[key] = g
	}
	return g
}

func newState() state {
	return state{
		history: &history{commits: map[string]*commit{}, rendered: map[string]got{}},
		records: map[string]*fleet.ClusterRecord{}, deltas: map[string]inForce{}, pins: map[string]*fleet.Pin{}, guests: map[string]subject{}, rejected: map[string]bool{},
	}
}
