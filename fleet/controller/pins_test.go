package controller_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestPinKeepsClustersOnARelease(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, "", withClock(c))
	r.release("main@2", guarded("", "base/db.yaml", app("db", "{tag: v2}")))
	pin := func(p fleet.Pin) {
		t.Helper()
		if _, err := r.Pin(t.Context(), ada, p); err != nil {
			t.Fatal(err)
		}
	}
	dev := &fleet.Selector{MatchLabels: map[string]string{"environment": "dev"}}
	until := c.Now().Add(time.Hour)
	pin(fleet.Pin{Name: "incident", Scope: fleet.Scope{Selector: dev}, Release: r.releaseOf("main@1").ID, ExpiresAt: &until, Reason: "INC-1"})
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@2")
	r.wantInput("ann", "db", `{"replicas":1,"tag":"v1"}`)
	if why := r.view().Why(r.member("ann")); !strings.Contains(why, "INC-1") {
		t.Errorf("Why(ann) = %q", why)
	}
	r.release("main@3", guarded("", "base/db.yaml", app("db", "{tag: v3}"), "clusters/eve.yaml", clusterFile("eve", "dev")))
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@3 eve=main@1")
	pin(fleet.Pin{Name: "one", Scope: fleet.Scope{Clusters: []string{"bob"}}, Release: "main@2"})
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@3 eve=main@1")
	r = r.restart(withClock(c))
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@3 eve=main@1")
	c.forward(2 * time.Hour)
	r.patch("cid", "App/web", `{"spec":{"tag":"v9"}}`) // makes the controller look at the clock
	r.await("the end of the pin", func() bool { return len(r.view().Pins()) == 1 })
	r.wantRevisions("ann=main@3 bob=main@2 cid=main@3 eve=main@3")
	if _, err := r.Unpin(t.Context(), ada, "one"); err != nil {
		t.Fatal(err)
	}
	pin(fleet.Pin{Name: "all", Scope: fleet.Scope{Selector: &fleet.Selector{}}, Release: "main@1"})
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@1 eve=main@1")
}

func TestUnpinnedClusterThatIsInvalidInTheLiveReleaseStays(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	r := startGuarded(t, open)
	if _, err := r.Pin(t.Context(), ada, fleet.Pin{Name: "p", Scope: fleet.Scope{Clusters: []string{"ann"}}, Release: "main@1"}); err != nil {
		t.Fatal(err)
	}
	r.release("main@2", guarded(open, "clusters/ann.yaml", invalidClusterFile("ann")))
	if _, err := r.Unpin(t.Context(), ada, "p"); err != nil {
		t.Fatal(err)
	}
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
}

// patchedFile returns a cluster file with a patch that sets the tag of db.
func patchedFile(name string) string {
	return `apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: ` + name + `, labels: {environment: prod}}
spec:
  dns: ` + name + `.example.com
  patches:
  - patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: db}, spec: {tag: v7}}'
`
}

func (r *rig) pin(p fleet.Pin) {
	r.t.Helper()
	if _, err := r.Pin(r.t.Context(), ada, p); err != nil {
		r.t.Fatal(err)
	}
}

func TestClusterPinnedToAReleaseBeforeItsFileKeepsItsLastSpec(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	const patched = `{"replicas":1,"tag":"v7"}`
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/eve.yaml", patchedFile("eve")))
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"eve"}}, Release: "main@1"})
	for _, step := range []struct {
		revision string
		files    []string
		state    fleet.ClusterState
	}{
		{"main@3", []string{"clusters/eve.yaml", "{"}, fleet.ClusterActive},
		{"main@4", nil, fleet.ClusterOrphaned},
	} {
		r.release(step.revision, guarded(open, step.files...))
		r.wantRevisions("ann=" + step.revision + " bob=" + step.revision + " cid=" + step.revision + " eve=main@1")
		r.wantState("eve", step.state)
		r.wantInput("eve", "db", patched)
		r = r.restart()
		r.wantState("eve", step.state)
		r.wantInput("eve", "db", patched)
	}
	if _, err := r.Unpin(t.Context(), ada, "old"); err != nil {
		t.Fatal(err)
	}
	r.wantInput("eve", "db", patched)
}

func TestUnpinnedClusterThatIsInvalidInAllOtherReleasesStays(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2, removedPerFleet: 100%, removedEverywhere: 100%}\n"
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/eve.yaml", patchedFile("eve"), "base/kustomization.yaml", noDB))
	r.wantUnserved("eve")
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"eve"}}, Release: "main@1"})
	r.wantInput("eve", "db", `{"replicas":1,"tag":"v7"}`)
	if _, err := r.Unpin(t.Context(), ada, "old"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.wantRevisions("ann=main@2 bob=main@2 cid=main@2 eve=main@1")
		r.wantInput("eve", "db", `{"replicas":1,"tag":"v7"}`)
		r = r.restart()
	}
}

func TestClusterRelabelledIntoAnInvalidPinStays(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	const patched = `{"replicas":1,"tag":"v7"}`
	s := newSource()
	s.put("main@1", guarded(open, "base/kustomization.yaml", noDB))
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	r.release("main@2", guarded(open, "clusters/eve.yaml", strings.Replace(patchedFile("eve"), "prod", "test", 1)))
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Selector: &fleet.Selector{MatchLabels: map[string]string{"environment": "prod"}}}, Release: "main@2"})
	r.pin(fleet.Pin{Name: "elder", Scope: fleet.Scope{Selector: &fleet.Selector{MatchLabels: map[string]string{"environment": "staging"}}}, Release: "main@1"})
	r.release("main@3", guarded(open, "clusters/eve.yaml", strings.Replace(patchedFile("eve"), "prod", "staging", 1)))
	for range 2 {
		r.wantRevisions("ann=main@3 bob=main@3 cid=main@2 eve=main@2")
		r.wantInput("eve", "db", patched)
		if why := r.view().Why(r.member("eve")); !strings.Contains(why, "pin elder selects it, but its release is not valid for it") {
			t.Errorf("Why(eve) = %q", why)
		}
		r = r.restart()
	}
	if _, err := r.Unpin(t.Context(), ada, "elder"); err != nil {
		t.Fatal(err)
	}
	r.wantRevisions("ann=main@3 bob=main@3 cid=main@2 eve=main@3")
}
