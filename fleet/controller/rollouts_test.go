package controller_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

const inWaves = `  rollout:
    waves:
    - {name: canary, selector: {matchExpressions: [{key: environment, operator: In, values: [dev]}]}, soak: 10m, polled: 50}
`

// poll records polls of all sets of clusters.
func (r *rig) poll(clusters ...string) {
	for _, name := range clusters {
		for _, set := range r.view().Sets() {
			r.recordPoll(name, set, r.view().Generation(), "flux-operator/v0.58.1")
		}
	}
}

// advance advances the rollout, which only the leader may.
func (r *rig) advance() {
	r.t.Helper()
	r.await("the lead", func() bool { return r.Status().Leading })
	if err := r.Advance(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func TestWaveCompletesWhenItsClustersPollItsRelease(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, inWaves, withClock(c))
	r.poll("ann", "bob", "cid")
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	c.forward(11 * time.Minute)
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1") // no cluster has polled the release
	r.poll("cid")
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1") // cid is in no wave that has the release
	r = r.restart(withClock(c))
	r.poll("ann")
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@2")
	if r.stateOf("main@1") != fleet.Superseded || r.releaseOf("main@2").Rollout != nil {
		t.Errorf("main@1 is %s, rollout = %+v", r.stateOf("main@1"), r.releaseOf("main@2").Rollout)
	}
}

func TestWaveSoaks(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, inWaves, withClock(c))
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.poll("ann", "bob")
	c.forward(9 * time.Minute)
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	c.forward(2 * time.Minute)
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@2")
}

func TestRolloutIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, strings.Replace(inWaves, "polled", "gate: manual, polled", 1), withClock(c))
	next := guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}"), "clusters/eve.yaml", clusterFile("eve", "prod"))
	r.propose("main@2", next, fleet.Live)
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1 eve=main@2") // a new cluster does not wait for its wave
	if _, err := r.Decide(t.Context(), ada, fleet.Resume, "main@2", ""); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Resume of a running rollout = %v, want %v", err, fleet.ErrConflict)
	}
	r.decide(fleet.Pause, "main@2", "")
	r.poll("ann", "bob")
	c.forward(time.Hour)
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1 eve=main@2")
	r = r.restart(withClock(c))
	if got := r.decide(fleet.Resume, "main@2", "").Rollout; got.Phase != fleet.Waiting {
		t.Errorf("resumed rollout = %+v, want it waiting at the gate", got)
	}
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1 eve=main@2")
	r.decide(fleet.Resume, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@2 eve=main@2")
}

func TestSkipDoesNotWait(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, inWaves)
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@2")
}

func TestAbortRevertsWavesToTheirPreviousRelease(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n" + inWaves
	r := startGuarded(t, open)
	// ann stays on main@1 while the fleet is on main@2.
	r.propose("main@2", guarded(open, "clusters/ann.yaml", "{", "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
	served := bodies(t, r.view())
	r.propose("main@3", guarded(open, "base/db.yaml", app("db", "{tag: v3}"), "clusters/eve.yaml", clusterFile("eve", "dev")), fleet.Live)
	r.wantRevisions("ann=main@3 bob=main@3 cid=main@2 eve=main@3")
	r = r.restart()
	r.decide(fleet.Abort, "main@3", "")
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2 eve=main@3")
	r.wantState("eve", fleet.ClusterOrphaned)
	if got := bodies(t, r.view()); !strings.HasPrefix(got, served) {
		t.Errorf("served after the abort =\n%s\nwant\n%s", got, served)
	}
	r = r.restart()
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2 eve=main@3")
	if r.stateOf("main@3") != fleet.Rejected {
		t.Errorf("main@3 is %s", r.stateOf("main@3"))
	}
}

func TestNewerReleaseTakesOverAndLeavesReachedWaves(t *testing.T) {
	t.Parallel()
	const three = `  rollout:
    waves:
    - {name: one, selector: {matchLabels: {environment: prod}}}
    - {name: two, selector: {matchLabels: {environment: test}}}
`
	bob := []string{"clusters/bob.yaml", clusterFile("bob", "test")}
	first := guarded(three, bob...)
	s := newSource()
	s.put("main@1", first)
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	change := func(n int) fstest.MapFS {
		return guarded(three, append(bob, "base/db.yaml", app("db", fmt.Sprintf("{tag: v%d}", n)))...)
	}
	r.propose("main@2", change(2), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
	r.decide(fleet.Pause, "main@2", "")
	held := r.propose("main@3", change(3), fleet.Held)
	if !hasRule(held.Violations, "rollout") {
		t.Errorf("violations = %v, want rule rollout", held.Violations)
	}
	r.decide(fleet.Approve, "main@3", "")
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@3")
	if r.stateOf("main@2") != fleet.Superseded {
		t.Errorf("main@2 is %s", r.stateOf("main@2"))
	}
	r = r.restart()
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@3")
	r.decide(fleet.Skip, "main@3", "")
	r.advance()
	r.wantRevisions("ann=main@1 bob=main@3 cid=main@3")
	r.decide(fleet.Abort, "main@3", "")
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
	r.propose("main@4", change(4), fleet.Live)
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@4")
	r.source.put("main@1", first)
	r.Look()
	r.await("main@4 to be superseded", func() bool { return r.stateOf("main@4") == fleet.Superseded })
	r.awaitLog()
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@1") // the source is back at main@1
	r.propose("main@5", change(5), fleet.Live)
	for range 2 {
		r.decide(fleet.Skip, "main@5", "")
		r.advance()
	}
	r.wantRevisions("ann=main@5 bob=main@5 cid=main@5")
}

// addedObjects returns files that add so many objects to acme that removing them exceeds the guard.
func addedObjects() []string {
	return []string{
		"base/kustomization.yaml", "resources: [web.yaml, db.yaml, front.yaml, mail.yaml, logs.yaml]\n",
		"base/mail.yaml", app("mail", "{tag: v1}"), "base/logs.yaml", app("logs", "{tag: v1}"),
	}
}

// returnToFirst sets the source back to main@1 and waits until the rollout has noticed.
func (r *rig) returnToFirst(rolling string) *fleet.RolloutStatus {
	r.t.Helper()
	r.source.put("main@1", guarded(inWaves))
	r.Look()
	r.await("the pause", func() bool {
		ro := r.releaseOf(rolling).Rollout
		return ro != nil && strings.Contains(ro.Reason, "went back")
	})
	return r.releaseOf(rolling).Rollout
}

func TestReturnToTheLiveReleaseIsGuarded(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[fleet.Verdict]string{
		fleet.Abort:  "ann=main@1 bob=main@1 cid=main@1",
		fleet.Resume: "ann=main@2 bob=main@2 cid=main@1",
	} {
		r := startGuarded(t, inWaves)
		r.propose("main@2", guarded(inWaves, addedObjects()...), fleet.Live)
		if ro := r.returnToFirst("main@2"); ro.Phase != fleet.Paused || !strings.Contains(ro.Reason, "4 of 13 inputs") {
			t.Errorf("rollout = %+v, want it paused because of the removed inputs", ro)
		}
		r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
		r = r.restart()
		digest := ""
		if verdict == fleet.Abort {
			digest = r.wantGuarded(func(digest string) error {
				_, err := r.Decide(t.Context(), ada, verdict, "main@2", digest)
				return err
			}, "removedPerFleet", "removedEverywhere").Digest
		}
		r.decide(verdict, "main@2", digest)
		r.wantRevisions(want)
		r = r.restart() // fetches the same revision again
		r.awaitLook()
		r.wantRevisions(want)
		if ro := r.releaseOf("main@2").Rollout; ro != nil && ro.Phase == fleet.Paused {
			t.Errorf("rollout after %s = %+v, want it to continue", verdict, ro)
		}
	}
}

func TestReturnOfTheSourceLeavesAPausedRollout(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, inWaves)
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Pause, "main@2", "")
	if ro := r.returnToFirst("main@2"); ro.Phase != fleet.Paused || !strings.Contains(ro.Reason, "paused by ada") {
		t.Errorf("rollout = %+v, want it paused by ada", ro)
	}
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	r.decide(fleet.Resume, "main@2", "")
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@2")
}

func TestHistoryOfAClusterHasTheRolloutThatIntroducedIt(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, inWaves)
	r.propose("main@2", guarded(inWaves, "clusters/eve.yaml", clusterFile("eve", "prod")), fleet.Live)
	changes, err := r.History(t.Context(), fleet.ChangeQuery{Cluster: "eve"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(changes, func(c fleet.Change) bool { return c.Kind == fleet.ReleaseRolledOut }) {
		t.Errorf("history of eve = %+v, want the rollout", changes)
	}
}

// A resume confirms what the next wave does by now, so that it has to be seen.
func TestPauseByTheGuardSaysWhatTheNextWaveTakesAway(t *testing.T) {
	t.Parallel()
	const spec = "  guard: {removedEverywhere: 100%, removedPerFleet: 100%, removedPerCluster: 1}\n" + inWaves
	r := startGuarded(t, spec)
	r.propose("main@2", guarded(spec, "base/kustomization.yaml", noDB), fleet.Live)
	if _, err := r.DeleteObject(t.Context(), ada, "cid", fleet.ObjectName{Kind: "App", Name: "web"}); err != nil {
		t.Fatal(err)
	}
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r = r.restart()
	ro := r.releaseOf("main@2").Rollout
	want := []fleet.LossGroup{{Clusters: []string{"cid"}, Inputs: []fleet.InputRef{{Set: "apps", ID: "db"}}}}
	if ro.Pause == nil || ro.Pause.Reason != fleet.PauseGuard || !reflect.DeepEqual(ro.Pause.Removes, want) {
		t.Fatalf("rollout = %+v, want it paused because of apps/db of cid", ro)
	}
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	r.decide(fleet.Resume, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@2")
}
