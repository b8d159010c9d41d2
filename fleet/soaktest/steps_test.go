package soaktest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// step is one thing that may happen. It holds what comes of it against the model, and
// tells what it did.
type step struct {
	weight int
	do     func(s *soak)
}

// steps are all, with how likely they are.
var steps = []step{
	{40, (*soak).commits}, {5, (*soak).forcePush},
	{8, (*soak).putDelta}, {3, (*soak).deleteDelta}, {7, (*soak).patchObject}, {3, (*soak).dropOwn},
	{3, (*soak).declare}, {2, (*soak).redeclare}, {3, (*soak).decommission}, {2, (*soak).purge},
	{14, (*soak).decide}, {12, (*soak).pollSome}, {6, (*soak).wait}, {4, (*soak).pin}, {3, (*soak).unpin},
	{4, (*soak).restarts}, {3, (*soak).sourceOutage}, {4, (*soak).storeOutage}, {3, (*soak).follow},
}

// step takes the next step.
func (s *soak) step() {
	s.t.Helper()
	s.steps = append(s.steps, "")
	s.clock.forward(time.Second) // so that what comes later is later
	total := 0
	for _, one := range steps {
		total += one.weight
	}
	at := s.IntN(total)
	for _, one := range steps {
		if at -= one.weight; at < 0 {
			one.do(s)
			break
		}
	}
	s.settle()
	s.check()
}

const actor = "ada"

// commits has the source go on.
func (s *soak) commits() {
	c, did := s.next(s.tip)
	s.commit(c)
	s.did("commit: %s", did)
	s.looked()
}

// forcePush has it go back.
func (s *soak) forcePush() {
	last := s.made[max(0, len(s.made)-12):]
	s.push(last[s.IntN(len(last))])
	s.did("force-push: %s", short(s.at.revision))
	s.looked()
}

func short(revision string) string { return revision[max(0, len(revision)-4):] }

// looked holds what comes of where the source is.
func (s *soak) looked() {
	s.t.Helper()
	want, before, newest := s.state.look(s.at), s.applied, s.state.newest
	s.await("a look at the source", s.source.seen)
	s.followLog()
	if want.kind == "" && newest.kind == fleet.ReleaseFailed && newest.revision == s.at.revision && s.applied > before {
		want.kind = fleet.ReleaseFailed // It may have other faults, now that the fleet is another.
	}
	s.expect(want, before)
}

// expect holds what the log has come to say since a generation.
func (s *soak) expect(want verdict, before int) {
	s.t.Helper()
	var got fleet.ChangeKind
	changes, err := s.log.Changes(s.t.Context(), fleet.ChangeQuery{After: int64(before)})
	if err != nil {
		s.fail("change log: %v", err)
	}
	switch {
	case len(changes) > 1:
		s.fail("%d changes come of one look", len(changes))
	case len(changes) == 1:
		got = changes[0].Kind
	}
	s.did("look: %s %s", want, short(s.at.revision))
	if got != want.kind {
		s.fail("%q comes of %s, want %s: %s", got, s.at.revision, want, s.told(s.at.revision))
	}
	if got != fleet.ReleaseHeld && got != fleet.WentLive {
		return
	}
	s.expectRelease(want)
}

// expectRelease holds what the log says of the release that the source is at.
func (s *soak) expectRelease(want verdict) {
	s.t.Helper()
	r, err := s.server.Release(s.t.Context(), s.at.revision)
	if err != nil {
		s.fail("Release(%q) = %v", s.at.revision, err)
	}
	rules := map[string]bool{}
	for _, v := range r.Violations {
		rules[v.Rule] = v.Rule != "rollout"
	}
	maps.DeleteFunc(rules, func(_ string, is bool) bool { return !is })
	if !maps.Equal(rules, want.violations) && len(rules)+len(want.violations) > 0 {
		s.fail("release of %s goes beyond %s, want %s", s.at.revision, slices.Sorted(maps.Keys(rules)), want)
	}
	var failing []string
	for _, f := range r.Failing {
		failing = append(failing, f.Cluster)
	}
	if !slices.Equal(failing, want.failing) {
		s.fail("release of %s is not good for %s, want %s: %s", s.at.revision, failing, want.failing, encode(r.Failing))
	}
}

// pollSome has all clusters poll the server, or a third of them. Whom the crowd happens
// to poll as well is in no wave that anybody waits for.
func (s *soak) pollSome() {
	v, err := s.server.View()
	if err != nil {
		s.fail("View() = %v", err)
	}
	all := s.IntN(3) > 0
	now := s.state.clusters()
	for i, m := range v.Members() {
		if !all && i%3 > 0 || isIdle(m.Cluster.Name) {
			continue
		}
		for _, set := range everySet {
			if told, _ := answerOf(m, set); told != nothing {
				m.Polled(set, s.clock.Now(), v.Generation(), "soak")
				s.polled[m.Cluster.Name] = poll{now[m.Cluster.Name].revision, v.Generation()}
			}
		}
	}
	s.did("poll: all %v", all)
}

// wait lets time go by.
func (s *soak) wait() {
	s.clock.forward(time.Duration(1+s.IntN(25)) * time.Minute)
	s.did("wait")
}

// decide has somebody decide what there is to be decided.
func (s *soak) decide() {
	switch held := s.state.newest; {
	case s.state.rollout != nil && (held.kind != fleet.ReleaseHeld || s.IntN(2) == 0):
		s.steer()
	case held.kind == fleet.ReleaseHeld && s.state.rolling() != held.revision:
		s.judge(held)
	default:
		s.did("nothing to decide")
	}
}

func (s *soak) steer() {
	verdict := []fleet.Verdict{fleet.Pause, fleet.Resume, fleet.Resume, fleet.Skip, fleet.Skip, fleet.Abort}[s.IntN(6)]
	waits := s.state.wait(s.clock.Now(), s.polled)
	_, err := s.server.Decide(s.t.Context(), s.write(), verdict, s.state.rolling(), "")
	s.did("%s: %s, which waits for %s: %v", verdict, short(s.state.rolling()), waits, err)
	may := verdict != fleet.Resume || slices.Contains([]string{"resume", "gate", "skip"}, waits)
	if may != (err == nil) || err != nil && !errors.Is(err, fleet.ErrConflict) {
		s.fail("Decide(%s) = %v while it waits for %q", verdict, err, waits)
	}
}

// judge approves or rejects what is held. Where something has changed since it was,
// an approval may have to be given anew.
func (s *soak) judge(held candidate) {
	if s.IntN(4) == 0 && !s.state.rejected[held.revision] {
		_, err := s.server.Decide(s.t.Context(), s.write(), fleet.Reject, held.revision, "")
		s.did("reject: %s", short(held.revision))
		if err != nil {
			s.fail("Decide(reject) = %v", err)
		}
		return
	}
	if s.IntN(3) == 0 {
		_, err := s.server.Decide(s.t.Context(), s.write(), fleet.Approve, held.revision, "sha256:stale")
		s.did("approve: another digest of %s: %v", short(held.revision), err)
		if !errors.Is(err, fleet.ErrGuarded) {
			s.fail("Decide(approve) of another digest = %v, want %v", err, fleet.ErrGuarded)
		}
		return
	}
	want := s.state.try(s.state.history.commits[held.revision])
	if want.kind == fleet.ReleaseFailed {
		s.did("nothing to approve any more")
		return
	}
	for tries := 0; ; tries++ {
		before := s.applied
		_, err := s.server.Decide(s.t.Context(), s.write(), fleet.Approve, held.revision, "")
		s.did("approve: %s: %v", short(held.revision), err)
		if err == nil {
			return
		}
		s.followLog()
		if !errors.Is(err, fleet.ErrGuarded) || tries > 0 || int64(before) == held.at {
			s.fail("Decide(approve) = %v", err)
		}
	}
}

func (s *soak) write() fleet.Write { return fleet.Write{Actor: actor} }

// restarts has another server take over, from one that may have died in mid-write.
func (s *soak) restarts() {
	if s.IntN(2) == 0 {
		s.server.store.set(unheard)
		s.writeBlindly()
	}
	s.restart()
	s.did("restart")
	s.awaitServed()
	s.looked()
}

// sourceOutage has the source be away for some looks, and move meanwhile.
func (s *soak) sourceOutage() {
	s.source.set(true)
	visits := s.source.visited()
	s.await("two looks in vain", func() bool { return s.source.visited() > visits+2 })
	s.check()
	s.source.set(false)
	s.did("source outage")
	s.looked()
}

// storeOutage has a write and a commit meet a store that fails.
func (s *soak) storeOutage() {
	how := []outage{away, unkept, unheard}[s.IntN(3)]
	s.server.store.set(how)
	s.did("store outage: %d", how)
	if s.IntN(2) == 0 {
		s.writeBlindly()
	} else {
		c, did := s.next(s.tip)
		s.commit(c)
		want := s.state.look(c)
		visits := s.source.visited()
		s.did("commit: %s: %s", did, want)
		s.await("two looks", func() bool { return s.source.visited() > visits+2 })
	}
	v, err := s.server.View()
	if err != nil {
		s.fail("View() = %v while the store is away", err)
	}
	if how != unheard && v.Generation() > int64(s.applied) {
		s.fail("generation %d is served, which nobody knows to be kept", v.Generation())
	}
	s.server.store.set(none)
	s.await("a look at the source", s.source.seen)
	s.followLog()
}

// writeBlindly writes to a store that fails.
func (s *soak) writeBlindly() {
	name := pick(s.Rand, s.state.clusters())
	d := &fleet.Delta{Name: s.fresh("blind"), Clusters: []string{name}, Edits: []fleet.Edit{{Kind: "App", Name: "web", Patch: []byte(`{"spec": {"blind": true}}`)}}}
	_, err := s.server.PutDelta(s.t.Context(), s.write(), d)
	s.did("write blindly for %s: %v", name, err)
	if err == nil {
		s.fail("PutDelta() = nil on a store that fails")
	}
}

// follow holds a server that only follows the log against the model, and now and then
// starts another one, which has not seen how it came to be.
func (s *soak) follow() {
	s.await("the reader", func() bool {
		v, err := s.reader.View()
		return err == nil && v.Generation() == int64(s.applied)
	})
	v, err := s.reader.View()
	if err != nil {
		s.fail("reader: View() = %v", err)
	}
	s.checkView(v)
	s.did("follow")
	if s.IntN(3) == 0 {
		s.reader.stop()
		s.reader = s.start(true)
		s.did("another reader")
	}
}

func patchOf(spec any) []byte { return []byte(fmt.Sprintf(`{"spec": %s}`, encode(spec))) }
