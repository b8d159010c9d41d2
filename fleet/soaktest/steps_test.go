package soaktest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// step is one thing that may happen. It checks what comes of it, and records what it did.
type step struct {
	weight int
	do     func(s *soak)
}

// steps are all, with how likely they are.
var steps = []step{
	{34, (*soak).commits}, {5, (*soak).forcePush},
	{8, (*soak).putDelta}, {3, (*soak).deleteDelta}, {7, (*soak).patchObject}, {3, (*soak).deleteOwn}, {2, (*soak).rollBack}, {3, (*soak).expire},
	{4, (*soak).declare}, {2, (*soak).register}, {6, (*soak).redeclare}, {4, (*soak).decommission}, {3, (*soak).recommission}, {2, (*soak).purge},
	{30, (*soak).decide}, {16, (*soak).pollSome}, {12, (*soak).pollList}, {4, (*soak).amend}, {6, (*soak).wait}, {4, (*soak).pin}, {3, (*soak).unpin},
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

// actor makes all changes that somebody asks for.
const actor = "ada"

func options() controller.WriteOptions { return controller.WriteOptions{Actor: actor} }

// commits moves the source on.
func (s *soak) commits() {
	c, did := s.next(s.tip)
	s.propose(c, "commit: "+did)
}

// amend makes a commit that says the same as the one that is held, and that approves the impact.
func (s *soak) amend() {
	r, err := s.log.Release(s.t.Context(), s.model.candidate.ID())
	if err != nil || r.State != fleet.Held {
		s.did("nothing to amend")
		return
	}
	s.show(r.Impact)
	c := s.model.commits[r.Revision].clone()
	s.name(c)
	c.approves = []string{r.Impact.Digest}
	s.propose(c, "amend: "+short(r.Revision))
}

// forcePush moves the source back.
func (s *soak) forcePush() {
	last := s.made[max(0, len(s.made)-12):]
	s.push(last[s.IntN(len(last))])
	s.did("force-push: %s", short(s.at.revision))
	s.looked()
}

func short(revision string) string { return revision[max(0, len(revision)-4):] }

// looked checks what became of the revision that the source is at.
func (s *soak) looked() {
	s.t.Helper()
	before := s.model
	s.await("a look at the source", s.source.seen)
	s.followLog()
	if s.model.generation > before.generation+1 {
		s.fail("%d changes come of one look", s.model.generation-before.generation)
	}
	revision, became := s.at.revision, ""
	switch m := s.model; {
	case m.candidate.Revision == revision:
		became = s.checkCandidate()
	case m.rollout != nil && m.rollout.Release.Revision == revision:
		became = "rolling out"
	case m.live.Revision == revision && (m.rollout == nil || m.rollout.Reverted):
		became = "live"
	default:
		s.fail("nothing became of %s", revision)
	}
	if wasGood := before.live.Revision == revision && before.rollout == nil; wasGood && s.model.live != before.live {
		s.fail("the source is at the live release, and %s is live", s.model.live.Revision)
	}
	s.did("look: %s is %s", short(revision), became)
}

// checkCandidate checks why the fleet does not go to the revision that the source is at.
func (s *soak) checkCandidate() string {
	s.t.Helper()
	r, err := s.server.Release(s.t.Context(), s.at.revision)
	if err != nil {
		s.fail("Release(%q) = %v", s.at.revision, err)
	}
	s.show(r.Impact)
	faults := r.Problems.Faults()
	ok := map[fleet.ReleaseState]bool{
		fleet.Failed: len(faults) > 0, fleet.Held: len(r.Violations) > 0 && !s.at.unreadable, fleet.Rejected: true,
	}[r.State]
	if !ok {
		s.fail("%s is %s with the violations %v and the faults %v", r.Revision, r.State, r.Violations, faults)
	}
	return string(r.State)
}

// poll is the last one of a cluster.
type poll struct {
	release    fleet.ReleaseRef
	generation int64
}

// pollSome lets all clusters poll the server, or a third of them. Clusters that the crowd polls as well
// are in no wave that is waited for.
func (s *soak) pollSome() {
	v, err := s.server.View()
	if err != nil {
		s.fail("View() = %v", err)
	}
	all := s.IntN(3) > 0
	for i, m := range v.Members() {
		if !all && i%3 > 0 || isIdle(m.Cluster.Name) {
			continue
		}
		url := m.Cluster.Name
		if pollsByDNS(url) {
			url = dnsOf(url)
		}
		s.poll(v, url)
	}
	s.did("poll: all %v", all)
}

// waitsFor returns what the rollout waits for; "" where the next wave is due. A wave without a cluster
// that has the release waits until somebody skips it.
func (m model) waitsFor(now time.Time, polled map[string]poll) string {
	r := m.rollout
	wave := r.Waves[r.Step-1]
	have, did := 0, 0
	for _, name := range wave.Clusters {
		c := m.cluster(name)
		if c.state != fleet.ClusterActive || c.sets == nil || c.release != r.Release {
			continue
		}
		have++
		if p := polled[name]; p.release == r.Release && p.generation >= r.Generation {
			did++
		}
	}
	switch {
	case r.Paused != nil:
		return "resume"
	case r.Passed:
		return ""
	case have == 0:
		return "skip"
	case did*100 < have*m.commits[m.live.Revision].polledOf(wave.Name):
		return "polls"
	case now.Before(r.Since.Add(wave.Soak)):
		return "time"
	case wave.Manual:
		return "gate"
	}
	return ""
}

// polledOf returns the share of a wave that must have polled.
func (c *commit) polledOf(wave string) int {
	for _, w := range c.waves {
		if w.Name == wave {
			return w.Polled
		}
	}
	return fleet.DefaultPolled
}

// wait lets time pass.
func (s *soak) wait() {
	s.clock.forward(time.Duration(1+s.IntN(25)) * time.Minute)
	s.did("wait")
}

// decide decides about a release, where there is something to decide.
func (s *soak) decide() {
	held := s.model.candidate
	r, err := s.log.Release(s.t.Context(), held.ID())
	open := err == nil && (r.State == fleet.Held || r.State == fleet.Rejected)
	switch {
	case s.model.rollout != nil && (!open || s.IntN(2) == 0):
		s.steer()
	case open && (s.model.rollout == nil || s.model.rollout.Release != held):
		s.judge(r)
	default:
		s.did("nothing to decide")
	}
}

func (s *soak) steer() {
	verdict := []fleet.Verdict{fleet.Pause, fleet.Resume, fleet.Resume, fleet.Skip, fleet.Skip, fleet.Abort}[s.IntN(6)]
	waits := s.model.waitsFor(s.clock.Now(), s.polled)
	revision := s.model.rollout.Release.Revision
	r, err := s.server.Release(s.t.Context(), revision)
	if err != nil {
		s.fail("Release(%q) = %v", revision, err)
	}
	s.showPause(r)
	_, err = s.server.Decide(s.t.Context(), options(), verdict, revision, "")
	s.did("%s: %s, which waits for %s: %v", verdict, short(revision), waits, err)
	var refused *fleet.GuardError
	if verdict == fleet.Abort && errors.As(err, &refused) {
		before, was := s.model, s.past[s.model.generation]
		_, err = s.server.Decide(s.t.Context(), options(), verdict, revision, refused.Impact.Digest)
		s.followLog()
		now := s.past[s.model.generation]
		if err == nil && len(before.exceeded(before.live, was, now, s.clock.Now())) == 0 {
			s.fail("the abort exceeds no guard, and had to be confirmed: %v", refused.Violations)
		}
		if unseen := unseen(before.removals(was, now), removedBy(refused.Impact)); err == nil && len(unseen) > 0 {
			s.fail("the abort removes what was not shown: %+v", unseen)
		}
	}
	may := verdict != fleet.Resume || slices.Contains([]string{"resume", "gate", "skip"}, waits)
	if may != (err == nil) || err != nil && !errors.Is(err, fleet.ErrConflict) {
		s.fail("Decide(%s) = %v while it waits for %q", verdict, err, waits)
	}
}

// judge approves or rejects a held release. Where something has changed since it was held, an approval
// may have to be given again.
func (s *soak) judge(held *fleet.Release) {
	if s.IntN(4) == 0 && held.State == fleet.Held {
		_, err := s.server.Decide(s.t.Context(), options(), fleet.Reject, held.Revision, "")
		s.did("reject: %s", short(held.Revision))
		if err != nil {
			s.fail("Decide(reject) = %v", err)
		}
		return
	}
	if s.IntN(3) == 0 {
		_, err := s.server.Decide(s.t.Context(), options(), fleet.Approve, held.Revision, "sha256:stale")
		s.did("approve: another digest of %s: %v", short(held.Revision), err)
		if !errors.Is(err, fleet.ErrGuarded) && !errors.Is(err, fleet.ErrConflict) {
			s.fail("Decide(approve) of another digest = %v, want %v", err, fleet.ErrGuarded)
		}
		return
	}
	s.show(held.Impact)
	for tries := 0; ; tries++ {
		before := s.model.generation
		_, err := s.server.Decide(s.t.Context(), options(), fleet.Approve, held.Revision, "")
		s.did("approve: %s: %v", short(held.Revision), err)
		if err == nil || errors.Is(err, fleet.ErrConflict) { // it is valid for no cluster any more
			return
		}
		s.followLog()
		var refused *fleet.GuardError
		if errors.As(err, &refused) {
			s.show(refused.Impact)
		}
		if refused == nil || tries > 0 || before == held.Generation && held.State == fleet.Held {
			s.fail("Decide(approve) = %v", err)
		}
	}
}

// restarts replaces the server by another one, half of the time in the middle of a write.
func (s *soak) restarts() {
	if s.IntN(2) == 0 {
		s.server.store.set(unheard)
		s.writeInVain()
	}
	s.restart()
	s.did("restart")
	s.awaitServed(s.server)
	s.looked()
}

// sourceOutage makes the source unreachable for some looks.
func (s *soak) sourceOutage() {
	s.source.set(true)
	looks := s.source.looked()
	s.await("two looks in vain", func() bool { return s.source.looked() > looks+2 })
	s.check()
	s.source.set(false)
	s.did("source outage")
	s.looked()
}

// storeOutage lets a write or a commit meet a store that fails.
func (s *soak) storeOutage() {
	how := []outage{away, unkept, unheard}[s.IntN(3)]
	s.server.store.set(how)
	s.did("store outage: %d", how)
	if s.IntN(2) == 0 {
		s.writeInVain()
	} else {
		c, did := s.next(s.tip)
		s.commit(c)
		s.did("commit: %s", did)
		looks := s.source.looked()
		s.await("two looks", func() bool { return s.source.looked() > looks+2 })
	}
	v, err := s.server.View()
	if err != nil {
		s.fail("View() = %v while the store is away", err)
	}
	if how != unheard && v.Generation() > s.model.generation {
		s.fail("generation %d is served, and it is not known whether it was kept", v.Generation())
	}
	s.server.store.set(none)
	s.await("a look at the source", s.source.seen)
	s.followLog()
}

// writeInVain writes to a store that fails.
func (s *soak) writeInVain() {
	name := pick(s.Rand, s.past[s.model.generation])
	d := &fleet.Delta{Name: s.fresh("vain"), Scope: fleet.Scope{Clusters: []string{name}}, Edits: []fleet.Edit{{Kind: "App", Name: "web", Patch: []byte(`{"spec": {"vain": true}}`)}}}
	_, err := s.server.PutDelta(s.t.Context(), options(), d)
	s.did("write in vain for %s: %v", name, err)
	if err == nil {
		s.fail("PutDelta() = nil on a store that fails")
	}
}

// follow compares a server that only follows the log with the model, and now and then starts another
// one, which has not seen the changes one by one.
func (s *soak) follow() {
	s.awaitServed(s.reader)
	s.checkView(s.reader.Controller)
	s.did("follow")
	if s.IntN(3) == 0 {
		s.reader.stop()
		s.reader = s.start(true)
		s.did("another reader")
	}
}

func patchOf(spec any) []byte { return []byte(fmt.Sprintf(`{"spec": %s}`, encode(spec))) }
