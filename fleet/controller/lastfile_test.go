package controller_test

import (
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// patchedFile is a cluster file that has db be of another tag.
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

func (r *rig) pinned(p fleet.Pin) {
	r.t.Helper()
	if _, err := r.Pin(r.t.Context(), ada, p); err != nil {
		r.t.Fatal(err)
	}
}

func TestClusterThatIsPinnedToBeforeItsFileKeepsWhatTheFileSaid(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	const patched = `{"replicas":1,"tag":"v7"}`
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/eve.yaml", patchedFile("eve")))
	r.pinned(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"eve"}}, Release: "main@1"})
	for _, step := range []struct {
		revision string
		files    []string
		state    fleet.ClusterState
	}{
		{"main@3", []string{"clusters/eve.yaml", "{"}, fleet.ClusterActive},
		{"main@4", nil, fleet.ClusterOrphaned},
	} {
		r.release(step.revision, guarded(open, step.files...))
		r.wantOn("ann=" + step.revision + " bob=" + step.revision + " cid=" + step.revision + " eve=main@1")
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

func TestUnpinnedClusterThatNoOtherReleaseWasGoodForStays(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2, removedPerFleet: 100%}\n"
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/eve.yaml", patchedFile("eve"), "base/kustomization.yaml", noDB))
	r.wantUnserved("eve")
	r.pinned(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"eve"}}, Release: "main@1"})
	r.wantInput("eve", "db", `{"replicas":1,"tag":"v7"}`)
	if _, err := r.Unpin(t.Context(), ada, "old"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r.wantOn("ann=main@2 bob=main@2 cid=main@2 eve=main@1")
		r.wantInput("eve", "db", `{"replicas":1,"tag":"v7"}`)
		r = r.restart()
	}
}

func TestClusterThatComesToAPinThatIsNotGoodForItStays(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	const patched = `{"replicas":1,"tag":"v7"}`
	s := newScript()
	s.put("main@1", guarded(open, "base/kustomization.yaml", noDB))
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	r.release("main@2", guarded(open, "clusters/eve.yaml", strings.Replace(patchedFile("eve"), "prod", "test", 1)))
	r.pinned(fleet.Pin{Name: "old", Scope: fleet.Scope{Selector: &fleet.Selector{MatchLabels: map[string]string{"environment": "prod"}}}, Release: "main@2"})
	r.pinned(fleet.Pin{Name: "elder", Scope: fleet.Scope{Selector: &fleet.Selector{MatchLabels: map[string]string{"environment": "staging"}}}, Release: "main@1"})
	r.release("main@3", guarded(open, "clusters/eve.yaml", strings.Replace(patchedFile("eve"), "prod", "staging", 1)))
	for range 2 {
		r.wantOn("ann=main@3 bob=main@3 cid=main@2 eve=main@2")
		r.wantInput("eve", "db", patched)
		if why := r.view().Why(r.member("eve")); !strings.Contains(why, "pin elder selects it, but its release is not valid for it") {
			t.Errorf("Why(eve) = %q", why)
		}
		r = r.restart()
	}
	if _, err := r.Unpin(t.Context(), ada, "elder"); err != nil {
		t.Fatal(err)
	}
	r.wantOn("ann=main@3 bob=main@3 cid=main@2 eve=main@3")
}
