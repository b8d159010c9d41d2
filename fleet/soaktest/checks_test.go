package soaktest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// kept is for how many generations back it is remembered what was served.
const kept = 50

// fold takes up a change, and checks what the log promises about every change.
func (s *soak) fold(c *fleet.Change) {
	s.t.Helper()
	before, was := s.model, s.past[s.model.generation]
	next, wrong := before.with(c)
	s.model, s.last = next, c
	now := next.clusters()
	s.past[c.Generation] = now
	delete(s.past, c.Generation-kept)
	s.tally["log "+string(c.Kind)]++
	wrong = append(wrong, next.invariants(c)...)
	wrong = append(wrong, next.moves(c, before, was, now)...)
	if isGuarded(before, c) {
		if lost := before.loss(before.live, was, now, c.At); len(lost) > 0 {
			wrong = append(wrong, fmt.Sprintf("the guard is exceeded, and nobody allowed that: %s", lost))
		}
		if got, want := recorded(c.Losses), before.lossesToRecord(was, now); !slices.Equal(got, want) {
			wrong = append(wrong, fmt.Sprintf("the log says that clusters lost\n%s\nwant\n%s", got, want))
		}
	}
	if len(wrong) > 0 {
		s.fail("generation %d, %s: %d things are wrong: %s", c.Generation, c.Kind, len(wrong), wrong[0])
	}
}

// invariants returns what the state after a change must not be.
func (m model) invariants(c *fleet.Change) (wrong []string) {
	is := func(broken bool, format string, args ...any) {
		if broken {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	written := map[string]bool{}
	for _, a := range c.Assignments {
		written[a.Cluster] = true
	}
	if r := m.rollout; r != nil {
		is(r.Step < 0 || r.Step >= len(r.Waves) || r.Step+r.Part <= 0, "step %d and part %d of %d waves", r.Step, r.Part, len(r.Waves))
		is(r.Release == m.live, "the live release is rolling out")
	}
	for _, name := range m.names() {
		row, told := m.rows[name], encode(m.rows[name])
		want, somewhere := m.desired(name)
		if !somewhere {
			is(row != nil, "%s is decommissioned and has the row %s", name, told)
			continue
		}
		if row == nil {
			is(want.release != m.live || want.reason != "", "%s is on the live release, and should be on %+v", name, want)
			is(m.file(m.live, name) == nil && m.declaration(name) == nil, "%s has neither a row, nor a file, nor a declaration", name)
			continue
		}
		failing := row.Reason == fleet.ReasonFailing
		is(failing && row.Release == want.release, "%s is Failing on the release that it should be on: %s", name, told)
		is(failing && written[name] && m.isValid(want, name, row), "%s is Failing, and %+v is valid for it: %s", name, want, told)
		is(!failing && (row.Release != want.release || row.Reason != want.reason || row.Detail != want.pin), "%s should be on %+v: %s", name, want, told)
		known := m.file(m.live, name)
		is(row.Spec != nil && written[name] && (m.file(row.Release, name) != nil || known != nil && encode(fleet.SpecOf(known)) == encode(row.Spec)),
			"%s needs no Spec: %s", name, told)
		is(row.Since > m.generation || row.Cluster != name, "%s has the row %s", name, told)
		if p := row.Previous; p != nil {
			is(p.Previous != nil || p.Reason != fleet.ReasonSuperseded && p.Reason != fleet.ReasonFailing, "%s covers more than one row: %s", name, told)
		}
	}
	return wrong
}

// isValid reports whether a cluster that is failing could be served on a release, as what it would be
// there: it keeps what it was only because of the fault.
func (m model) isValid(t target, name string, row *fleet.Assignment) bool {
	if m.commits[t.release.Revision].clusters[name].broken {
		return false
	}
	last := row.Spec
	if last != nil && (last.File == "" || m.file(m.live, name) != nil) {
		last = nil
	}
	spec := m.specOn(t, name, last)
	if spec == nil && m.rollout != nil {
		spec = m.file(m.rollout.Release, name)
	}
	return m.render(t.release, spec).sets != nil
}

// moves returns the clusters that are left without an answer by a change, and those that it moves
// although it is not in their history.
func (m model) moves(c *fleet.Change, before model, was, now map[string]*cluster) (wrong []string) {
	for name, old := range was {
		if is := now[name]; old.sets != nil && (is == nil || is.sets == nil) && c.Kind != fleet.Purged {
			wrong = append(wrong, fmt.Sprintf("%s is left without an answer: it is %s by %s, and was %s by %s",
				name, describe(is), encode(m.rows[name]), describe(old), encode(before.rows[name])))
		}
	}
	for name, is := range now {
		old := was[name]
		moved := old == nil || old.release != is.release && is.state != fleet.ClusterDecommissioned || old.state != is.state
		if moved && c.Kind != fleet.WentLive && !slices.Contains(c.Clusters, name) {
			wrong = append(wrong, fmt.Sprintf("%s is moved, and the change is not in its history: it is %s, and was %s", name, describe(is), describe(old)))
		}
	}
	return wrong
}

// isGuarded reports whether nobody allowed a change to exceed the guard.
func isGuarded(before model, c *fleet.Change) bool {
	if before.live.IsZero() || c.Actor == actor {
		return false
	}
	r := before.rollout
	allowed := r != nil && (r.Approved != "" || r.Confirmed != "") && c.Release != nil && r.Release == c.Release.Ref && c.Release.To != fleet.Superseded
	return !allowed
}

// input is one input of one cluster; its set is empty where it stands for the cluster's file.
type input struct{ cluster, set, id string }

// lostInputs returns what clusters lose between two states, sorted.
func lostInputs(before, after map[string]*cluster) (lost []input) {
	for name, was := range before {
		now := after[name]
		if was.sets == nil || now == nil || now.sets == nil || was.state == fleet.ClusterDecommissioned || now.state == fleet.ClusterDecommissioned {
			continue
		}
		if now.state == fleet.ClusterOrphaned && was.state != fleet.ClusterOrphaned {
			lost = append(lost, input{cluster: name})
		}
		for set, a := range was.sets {
			for _, id := range a.ids {
				if !slices.Contains(now.sets[set].ids, id) {
					lost = append(lost, input{name, set, id})
				}
			}
		}
	}
	return sorted(lost)
}

func sorted(all []input) []input {
	slices.SortFunc(all, func(a, b input) int {
		return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.set, b.set), cmp.Compare(a.id, b.id))
	})
	return slices.Compact(all)
}

// recorded returns the losses of the log one by one, sorted.
func recorded(losses ...*fleet.Losses) (all []input) {
	for _, l := range losses {
		if l == nil {
			continue
		}
		for _, g := range l.Groups {
			for _, name := range g.Clusters {
				if g.Orphaned {
					all = append(all, input{cluster: name})
				}
				for _, in := range g.Inputs {
					all = append(all, input{name, in.Set, in.ID})
				}
			}
		}
	}
	return sorted(all)
}

// lossesToRecord returns what the log must say of a change that nobody approved.
func (m model) lossesToRecord(was, now map[string]*cluster) []input {
	if m.commits[m.live.Revision].guard.Window == 0 {
		return nil
	}
	return lostInputs(was, now)
}

// earlier returns what was lost within the window and is still away before and after a change.
func (m model) earlier(before, after map[string]*cluster, at time.Time) (lost []input) {
	counts := slices.DeleteFunc(slices.Clone(m.losses), func(l *fleet.Losses) bool { return !l.Until.After(at) })
	away := func(c *cluster, in input) bool {
		if in.set == "" {
			return c != nil && c.state == fleet.ClusterOrphaned
		}
		return c == nil || !slices.Contains(c.sets[in.set].ids, in.id)
	}
	for _, in := range recorded(counts...) {
		if was := before[in.cluster]; was != nil && was.state != fleet.ClusterDecommissioned && away(was, in) && away(after[in.cluster], in) {
			lost = append(lost, in)
		}
	}
	return lost
}

// kindOf is the kind of what a set serves.
var kindOf = map[string]string{"apps": "App", "programs": "App", "jobs": "Job", "tasks": "Job", "notes": "Note", "memos": "Note"}

// loss returns the rules of a release's guard that are exceeded between two states of the clusters.
func (m model) loss(guard fleet.ReleaseRef, before, after map[string]*cluster, at time.Time) []string {
	g, rules := m.commits[guard.Revision].guard, map[string]bool{}
	is := func(rule string, exceeded bool) { rules[rule] = rules[rule] || exceeded }
	lost, earlier := lostInputs(before, after), []input(nil)
	if g.Window > 0 && len(lost) > 0 {
		earlier = m.earlier(before, after, at)
	}
	count := func(all []input, which func(input) bool) (n int) {
		for _, in := range all {
			if which(in) {
				n++
			}
		}
		return n
	}
	isInput := func(in input) bool { return in.set != "" }
	isFile := func(in input) bool { return in.set == "" }
	beyond := func(l fleet.Limit, of int, which func(input) bool) bool {
		now, was := count(lost, which), count(earlier, which)
		return now > 0 && now+was > l.Of(of+was)
	}
	total := 0
	having := map[input]int{} // without the cluster
	for name, was := range before {
		inputs := 0
		for set, a := range was.sets {
			for _, id := range a.ids {
				having[input{"", set, id}]++
			}
			inputs += len(a.ids)
		}
		total += inputs
		is("removedPerCluster", beyond(g.RemovedPerCluster, inputs, func(in input) bool { return isInput(in) && in.cluster == name }))
		now := after[name]
		if was.sets == nil || now == nil || now.sets == nil || was.state == fleet.ClusterDecommissioned || now.state == fleet.ClusterDecommissioned {
			continue
		}
		for set, a := range was.sets {
			left, there := now.sets[set]
			is("allowVanishedSets", !there && !g.AllowVanishedSets)
			is("allowEmptySets", there && len(left.ids) == 0 && len(a.ids) > 0 && !g.AllowEmptySets)
		}
		is("allowOrphanedParts", !g.AllowStaleParts && newlyStale(was, now) != "")
	}
	is("removedPerFleet", beyond(g.RemovedPerFleet, total, isInput))
	is("orphanedClusters", beyond(g.OrphanedClusters, len(m.repo(m.live).files), isFile))
	seen := map[input]bool{}
	for _, in := range lost {
		one := input{"", in.set, in.id}
		if seen[one] || isFile(in) {
			continue
		}
		seen[one] = true
		same := func(other input) bool { return other.set == in.set && other.id == in.id }
		is("removedEverywhere", count(lost, same)+count(earlier, same) > 1 && beyond(g.RemovedEverywhere, having[one], same))
		is("protected", slices.ContainsFunc(g.Protected, func(p fleet.Protection) bool {
			return (p.Set == "" || p.Set == in.set) && (p.ID == "" || p.ID == in.id) && (p.Kind == "" || p.Kind == kindOf[in.set])
		}))
	}
	maps.DeleteFunc(rules, func(_ string, exceeded bool) bool { return !exceeded })
	return slices.Sorted(maps.Keys(rules))
}

// newlyStale returns a part of a delta that a cluster goes without only now; "" for none.
func newlyStale(was, now *cluster) string {
	for _, part := range now.stale {
		if was == nil || !slices.Contains(was.stale, part) {
			return part.Delta + ":" + part.Field
		}
	}
	return ""
}

// check compares what is stored, served and polled now with the model.
func (s *soak) check() {
	s.t.Helper()
	log, err := s.log.Load(s.t.Context())
	if err != nil {
		s.fail("change log: %v", err)
	}
	if differs := s.model.differs(log); differs != "" {
		s.fail("%s", differs)
	}
	s.checkReleases()
	s.checkView(s.server.Controller)
	for _, c := range []*crowd{s.crowd, s.onlookers} {
		heard, wrong := c.report()
		if len(wrong) > 0 {
			s.fail("poll: %s", wrong[0])
		}
		for q, text := range heard {
			s.checkAnswer(q, text)
		}
	}
}

// checkReleases checks that one release is live and one at most rolls out, and that everything that
// a row names is stored.
func (s *soak) checkReleases() {
	s.t.Helper()
	running, err := s.log.Releases(s.t.Context(), fleet.ReleaseQuery{State: fleet.Live, Limit: 1 << 20})
	if err != nil {
		s.fail("releases: %v", err)
	}
	found := map[fleet.ReleaseState][]string{}
	for _, r := range running {
		found[r.State] = append(found[r.State], r.Revision)
	}
	want := map[fleet.ReleaseState][]string{}
	if !s.model.live.IsZero() {
		want[fleet.Live] = []string{s.model.live.Revision}
	}
	if s.model.rollout != nil {
		want[fleet.RollingOut] = []string{s.model.rollout.Release.Revision}
	}
	if encode(found) != encode(want) {
		s.fail("the releases are %s, want %s", encode(found), encode(want))
	}
	stored := map[string]bool{"": true}
	for name, row := range s.model.rows {
		for r := row; r != nil; r = r.Previous {
			if stored[r.Release.Snapshot] {
				continue
			}
			if stored[r.Release.Snapshot] = true; r.Release.Snapshot == "" && !r.Release.IsZero() {
				s.fail("%s is on %s, which has no snapshot", name, r.Release.Revision)
			}
			if _, err := s.log.Snapshot(s.t.Context(), r.Release.Snapshot); err != nil {
				s.fail("%s is on %s, which is not stored: %v", name, r.Release.Revision, err)
			}
		}
	}
}

// checkView compares everything that a server serves with the model.
func (s *soak) checkView(server *controller.Controller) {
	s.t.Helper()
	v, err := server.View()
	if err != nil {
		s.fail("View() = %v", err)
	}
	want, names := s.past[v.Generation()], []string{}
	for _, m := range v.Members() {
		names = append(names, m.Cluster.Name)
	}
	if known := slices.Sorted(maps.Keys(want)); !slices.Equal(names, known) {
		s.fail("generation %d has the clusters\n%s\nwant\n%s", v.Generation(), names, known)
	}
	for _, m := range v.Members() {
		c := want[m.Cluster.Name]
		if m.State != c.state || c.state != fleet.ClusterDecommissioned && m.Release() != c.release {
			s.fail("%s is %s on %s, want %s", m.Cluster.Name, m.State, m.Release().Revision, describe(c))
		}
		for _, set := range everySet {
			s.checkAnswer(question{v.Generation(), m.Cluster.Name, set}, s.answer(m, set))
		}
	}
}

func (s *soak) answer(m *view.Member, set string) string {
	s.t.Helper()
	text, err := answerOf(m, set)
	if err != nil {
		s.fail("%s of %s: %v", set, m.Cluster.Name, err)
	}
	return text
}

// checkAnswer compares one answer with what the model has for its generation.
func (s *soak) checkAnswer(q question, text string) {
	s.t.Helper()
	all, known := s.past[q.generation]
	if !known {
		if q.generation > s.model.generation {
			s.fail("%+v was answered at a generation that does not exist", q)
		}
		return // so long ago that only a reader that lags behind can be there
	}
	c, want := all[q.cluster], nothing
	if c != nil {
		if a, there := c.sets[q.set]; there {
			want = a.text
		}
	}
	if text != want {
		s.fail("%+v is answered\n%s\nwant, of %s,\n%s", q, text, describe(c), want)
	}
	if text == `{"inputs":[]}` && c.state != fleet.ClusterDecommissioned && q.set != "notes" && q.set != "memos" {
		s.fail("%+v is answered empty, which deletes everything", q)
	}
}

func describe(c *cluster) string {
	if c == nil {
		return "no cluster"
	}
	return fmt.Sprintf("%s %s on %s with faults %v", c.state, c.spec.Name, c.release.Revision, c.problems)
}
