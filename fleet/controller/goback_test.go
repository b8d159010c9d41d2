package controller_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// more is acme in waves with so much more that to take it back goes beyond the guard.
func more() []string {
	return []string{
		"base/kustomization.yaml", "resources: [web.yaml, db.yaml, front.yaml, mail.yaml, logs.yaml]\n",
		"base/mail.yaml", app("mail", "{tag: v1}"), "base/logs.yaml", app("logs", "{tag: v1}"),
	}
}

// goBack moves the source to main@1 and waits until a rollout is told so.
func (r *rig) goBack(rolling string) *fleet.RolloutStatus {
	r.t.Helper()
	r.source.put("main@1", guarded(inWaves))
	r.Look()
	r.await("the pause", func() bool {
		ro := r.releaseOf(rolling).Rollout
		return ro != nil && strings.Contains(ro.Reason, "went back")
	})
	return r.releaseOf(rolling).Rollout
}

func TestGoingBackToTheLiveReleaseIsWeighed(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[fleet.Verdict]string{
		fleet.Abort:  "ann=main@1 bob=main@1 cid=main@1",
		fleet.Resume: "ann=main@2 bob=main@2 cid=main@1",
	} {
		r := startGuarded(t, inWaves)
		r.propose("main@2", guarded(inWaves, more()...), fleet.Live)
		if ro := r.goBack("main@2"); ro.Phase != fleet.Paused || !strings.Contains(ro.Reason, "4 of 13 inputs") {
			t.Errorf("the rollout is %+v, want it paused for what would be lost", ro)
		}
		r.wantOn("ann=main@2 bob=main@2 cid=main@1")
		r = r.restart()
		r.decide(verdict, "main@2", "")
		r.wantOn(want)
		r = r.restart() // looks at the source anew, which is where it was
		r.awaitLook()
		r.wantOn(want)
		if ro := r.releaseOf("main@2").Rollout; ro != nil && ro.Phase == fleet.Paused {
			t.Errorf("after %s the rollout is %+v, want it to go on", verdict, ro)
		}
	}
}

func TestSourceThatGoesBackLeavesAPausedRollout(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, inWaves)
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Pause, "main@2", "")
	if ro := r.goBack("main@2"); ro.Phase != fleet.Paused || !strings.Contains(ro.Reason, "paused by ada") {
		t.Errorf("the rollout is %+v, want it paused by ada", ro)
	}
	r.wantOn("ann=main@2 bob=main@2 cid=main@1")
	r.decide(fleet.Resume, "main@2", "")
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@2")
}

func TestPinThatOrphansPartsIsConfirmed(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	r.release("main@2", guarded("", "base/kustomization.yaml", "resources: [web.yaml, db.yaml, front.yaml, mail.yaml]\n", "base/mail.yaml", app("mail", "{tag: v1}")))
	r.patch("ann", "App/mail", `{"spec":{"tag":"v9"}}`)
	pin := fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"ann"}}, Release: "main@1"}
	_, err := r.Pin(t.Context(), ada, pin)
	var guard *fleet.GuardError
	if !errors.As(err, &guard) || !hasRule(guard.Violations, "allowOrphanedParts") {
		t.Fatalf("Pin = %v, want the guard to ask about the part", err)
	}
	confirmed := ada
	confirmed.Confirm = guard.Impact.Digest
	if _, err := r.Pin(t.Context(), confirmed, pin); err != nil {
		t.Fatal(err)
	}
	r.wantOn("ann=main@1 bob=main@2 cid=main@2")
}

func TestHistoryOfAClusterTellsByWhichRolloutItCame(t *testing.T) {
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
