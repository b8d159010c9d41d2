package soaktest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
	wrong = append(wrong, s.allowed(before, c, was, now)...)
	if len(wrong) > 0 {
		s.fail("generation %d, %s: %d things are wrong:\n%s", c.Generation, c.Kind, len(wrong), strings.Join(wrong[:min(len(wrong), 3)], "\n"))
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
