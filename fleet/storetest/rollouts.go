package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// rolloutComesBackAsItWas takes a rollout through everything that can become of it.
func rolloutComesBackAsItWas(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	change := func(edit func(c *fleet.Change, now *fleet.Rollout)) {
		c := about(fleet.ReleaseRolledOut, l.next(), "one", fleet.RollingOut, fleet.RollingOut)
		edit(c, l.state().Rollout)
		l = append(l, *c)
		l[len(l)-1:].appendTo(t, s)
		wantLog(t, s, l)
	}
	start := func(snapshot string) func(*fleet.Change, *fleet.Rollout) {
		return func(c *fleet.Change, _ *fleet.Rollout) {
			c.Release = &fleet.ReleaseEvent{Ref: ref(snapshot), Clusters: 1, To: fleet.RollingOut, Wave: "canary"}
			c.Rollout = &fleet.RolloutChange{Started: rollout(c, snapshot)}
			c.Releases = []*fleet.Release{release(c)}
			c.Assignments = []fleet.AssignmentChange{{Cluster: "eu-01", Before: l.state().Assignments["eu-01"], After: assigned("eu-01", snapshot, fleet.ReasonRollout, c.Generation)}}
		}
	}
	change(start("one"))
	change(func(c *fleet.Change, now *fleet.Rollout) { // a batch of the next wave
		p := now.RolloutProgress
		p.Part, p.Since, p.Generation = 1, c.At, c.Generation
		c.Release.Wave, c.Rollout = strange, &fleet.RolloutChange{Progress: &p}
	})
	change(func(c *fleet.Change, now *fleet.Rollout) { // the guard pauses it
		p := now.RolloutProgress
		p.Paused = &fleet.RolloutPause{Reason: fleet.PauseGuard, Detail: strange, Impact: digest("impact")}
		p.Approved, p.Confirmed, p.Reverted, p.Passed = digest("a"), digest("b"), true, true
		c.Release.Pause, c.Rollout = p.Paused, &fleet.RolloutChange{Progress: &p}
	})
	change(func(c *fleet.Change, now *fleet.Rollout) { // somebody resumes it
		p := now.RolloutProgress
		p.Paused = nil
		c.Kind = fleet.ReleaseDecided
		c.Release.Decision = &fleet.Decision{Verdict: fleet.Resume, Actor: strange, Reason: strange, At: c.At, Generation: c.Generation, Impact: digest("b")}
		c.Rollout = &fleet.RolloutChange{Progress: &p}
	})
	change(start("two")) // takes over
	change(func(c *fleet.Change, _ *fleet.Rollout) {
		c.Release = &fleet.ReleaseEvent{Ref: ref("two"), From: fleet.RollingOut, To: fleet.Rejected}
		c.Rollout = &fleet.RolloutChange{Ended: true}
	})
	change(func(c *fleet.Change, _ *fleet.Rollout) { c.Release = nil })
	change(start("three"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantLog(t, open(t, time.Now), l)

	c := written(l.next())
	c.Rollout = &fleet.RolloutChange{Started: rollout(c, "not saved")}
	s = open(t, time.Now)
	if err := s.Append(t.Context(), c); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Append of a rollout without its snapshot: error %v, want %v", err, fleet.ErrNotFound)
	}
	wantLog(t, s, l)
}

// purgeRemovesTheNameFromWaves: a purged cluster is in no wave, and the log still says that it
// was in one when the rollout started.
func purgeRemovesTheNameFromWaves(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*about(fleet.ReleaseRolledOut, 1, "one", "", fleet.RollingOut)}
	started := rollout(&l[0], "one")
	started.Part = 1 // of ap-01 and us-01
	l[0].Rollout = &fleet.RolloutChange{Started: started}
	for _, name := range []string{"other-01", "us-01", "ap-01", "new-01"} {
		gone := decommissioned(name, nil)
		end, purge := written(l.next()), written(l.next()+1)
		end.Records = []fleet.RecordChange{{Cluster: name, After: gone}}
		purge.Kind, purge.Records = fleet.Purged, []fleet.RecordChange{{Cluster: name, Before: gone}}
		l = append(l, *end, *purge)
	}
	for i := range l {
		l[i:i+1].appendTo(t, s)
		wantLog(t, s, l[:i+1])
	}
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r := state.Rollout; len(r.New) != 0 || len(r.Waves) != 2 || len(r.Waves[1].Clusters) != 0 || r.Part != 0 {
		t.Errorf("the rollout is %s, want no purged cluster in it, and its waves", text(r))
	}
	// The next rollout has the name again: it is another cluster.
	c := about(fleet.ReleaseRolledOut, l.next(), "two", "", fleet.RollingOut)
	c.Rollout = &fleet.RolloutChange{Started: rollout(c, "two")}
	l = append(l, *c)
	l[len(l)-1:].appendTo(t, s)
	wantLog(t, s, l)
}

func candidateComesBackAsItWas(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	failed := fleet.ReleaseRef{Revision: "main@sha1:failed"} // it has no snapshot
	held := ref("held")
	for _, candidate := range []*fleet.ReleaseRef{nil, &held, nil, &failed, {}, nil} {
		c := written(l.next())
		c.Candidate = candidate
		l = append(l, *c)
		l[len(l)-1:].appendTo(t, s)
		wantLog(t, s, l)
	}
}
