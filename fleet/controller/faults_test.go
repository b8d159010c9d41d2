package controller_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// clusterFileWith returns the file of a cluster in dev with one more field.
func clusterFileWith(name, field string) string {
	return strings.Replace(clusterFile(name, "dev"), "spec: {", "spec: {"+field+", ", 1)
}

// invalidClusterFile returns a cluster file with a component that does not exist.
func invalidClusterFile(name string) string {
	return clusterFileWith(name, "components: [components/none]")
}

func TestFaultOfAClusterKeepsThatClusterOnItsRelease(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	for what, files := range map[string][]string{
		"a file that is not YAML": {"clusters/ann.yaml", "{"},
		"an unknown field":        {"clusters/ann.yaml", clusterFile("ann", "dev") + "bogus: 1\n"},
		"a duplicate name":        {"clusters/zzz.yaml", clusterFile("ann", "prod")},
		"an invalid input":        {"clusters/ann.yaml", clusterFileWith("ann", "patches: [{patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: web}, spec: {tag: 1}}'}]")},
		"a missing component":     {"clusters/ann.yaml", invalidClusterFile("ann")},
	} {
		t.Run(what, func(t *testing.T) {
			r := startGuarded(t, open)
			files = append(files, "base/db.yaml", app("db", "{tag: v2}"))
			r.release("main@2", guarded(open, files...))
			r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
			if why := r.view().Why(r.member("ann")); why == "" {
				t.Error("Why(ann) is empty, want the reason that it stays behind")
			}
			if failing := r.releaseOf("main@2").Failing; len(failing) != 1 || failing[0].Cluster != "ann" {
				t.Errorf("failing = %v, want ann", failing)
			}
			r.patch("ann", "App/db", `{"spec":{"replicas":7}}`)
			r = r.restart()
			r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
			r.release("main@3", guarded(open, files...))
			r.wantRevisions("ann=main@1 bob=main@3 cid=main@3")
			r.release("main@4", guarded(open))
			r.wantRevisions("ann=main@4 bob=main@4 cid=main@4")
			if why := r.view().Why(r.member("ann")); why != "" {
				t.Errorf("Why(ann) = %s, want it empty", why)
			}
		})
	}
}

func TestInvalidNewClusterIsNotServedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/eve.yaml", invalidClusterFile("eve")))
	r.wantUnserved("eve")
	r = r.restart()
	r.wantUnserved("eve")
	r.release("main@3", guarded(open))
	if m, err := r.view().Member("eve"); err == nil {
		t.Errorf("eve is %s after its file was removed, want it unknown", m.State)
	}
	r.release("main@4", guarded(open, "clusters/eve.yaml", clusterFile("eve", "dev")))
	r.wantRevisions("ann=main@4 bob=main@4 cid=main@4 eve=main@4")
}

func TestFaultOfFleetYAMLFailsTheRelease(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	r.propose("main@2", guarded("bogus: 1\n"), fleet.Failed)
	r = r.restart()
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@1")
	r.await("the failure", func() bool { return r.Status().Failed != nil })
	if history := len(r.changes(fleet.ReleaseFailed)); history != 1 {
		t.Errorf("the log has %d changes of one failure, want 1", history)
	}
}

// changes returns the changes of a kind, newest first.
func (r *rig) changes(kind fleet.ChangeKind) (found []fleet.Change) {
	r.t.Helper()
	all, err := r.store.Changes(r.t.Context(), fleet.ChangeQuery{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range all {
		if c.Kind == kind {
			found = append(found, c)
		}
	}
	return found
}

func TestClusterWithAnInvalidFileIsNotPurged(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/ann.yaml", clusterFile("ann", "dev")+"bogus: 1\n"))
	if _, err := r.Decommission(t.Context(), ada, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Purge(t.Context(), ada, "ann"); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Purge of a declared cluster = %v, want %v", err, fleet.ErrConflict)
	}
}
