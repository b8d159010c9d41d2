package controller_test

import (
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// two are two processes on one store, of which the second was started last.
func two(t *testing.T) (a, b *rig) {
	t.Helper()
	url := sqliteFile(t)
	s := newScript()
	s.put("main@1", acme())
	a = start(t, s, openStore(t, url))
	a.awaitRevision("main@1")
	b = start(t, s, openStore(t, url))
	b.awaitRevision("main@1")
	return a, b
}

func TestWritesOfAnotherProcessAreFollowed(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	a.patch("ann", "App/web", `{"spec": {"tag": "v2"}}`)
	b.await("the other's write", func() bool { return b.view().Generation() == a.view().Generation() })
	if got, want := bodies(t, b.view()), bodies(t, a.view()); got != want {
		t.Errorf("one serves\n%s\nthe other\n%s", got, want)
	}
}

// TestNothingIsDecidedOnAnOldLog has the second process not yet heard of what the
// first has written.
func TestNothingIsDecidedOnAnOldLog(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	before := bodies(t, a.view())
	a.patch("ann", "App/web", `{"spec": {"tag": "v2"}}`)
	result, err := b.Rollback(t.Context(), controller.WriteOptions{Actor: "bob"}, controller.Rollback{Generation: 1})
	if err != nil || len(result.Changes) != 1 {
		t.Fatalf("Rollback = %+v, %v, want it to take back what the other wrote", result, err)
	}
	if got := bodies(t, b.view()); got != before {
		t.Errorf("after the rollback\n%s\nwant\n%s", got, before)
	}
}

func TestARevisionGoesLiveOnceForAllProcesses(t *testing.T) {
	t.Parallel()
	a, b := two(t)
	a.source.put("main@2", acme())
	a.Look()
	a.awaitRevision("main@2")
	b.Look()
	b.awaitRevision("main@2")
	b.await("the same generation", func() bool { return b.view().Generation() == a.view().Generation() })
	if n := len(a.history()); n != 2 {
		t.Errorf("%d changes, want the two revisions, each once", n)
	}
}

// TestEditsAreReadAsTheyAreServed has numbers and texts that JSON and YAML spell
// in several ways.
func TestEditsAreReadAsTheyAreServed(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/web", `{"spec": {"env": {"a": "yes", "b": "2020-01-01"}, "n": {"x": 1.0, "y": -0, "z": 1e3, "w": 0.1000}}}`)
	d, err := r.view().Delta(fleet.OwnID("ann"))
	if err != nil {
		t.Fatal(err)
	}
	text := deltasOf(t, []*fleet.Delta{d})
	again, err := r.ReadDelta(d.ID(), []byte(text))
	if err != nil || deltasOf(t, []*fleet.Delta{again}) != text {
		t.Errorf("%s is read again as %s, %v", text, deltasOf(t, []*fleet.Delta{again}), err)
	}
	if !strings.Contains(bodies(t, r.view()), `"n":{"w":0.1,"x":1,"y":0,"z":1000}`) {
		t.Errorf("served is\n%s\nwant numbers as documents have them", bodies(t, r.view()))
	}
	for _, bad := range []string{`{"spec": {"n": 1e400}}`, `{"spec": {"n": 9007199254740993.0}}`, `{"spec": {"t": "\ufeff"}}`, `{"spec": {"<<": {"a": 1}}}`} {
		before := r.everything()
		_, err := r.PatchObject(t.Context(), controller.WriteOptions{}, "ann", fleet.ObjectName{Kind: "App", Name: "web"}, fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(bad)})
		if err == nil || r.everything() != before {
			t.Errorf("%s is taken: %v", bad, err)
		}
	}
}

func TestReasonsAreThoseOfTheWrite(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	d := r.document(`{cluster: ann, reason: INC-1, edits: [{kind: App, name: db, patch: {spec: {replicas: 3}}}]}`)
	if _, err := r.PutDelta(t.Context(), controller.WriteOptions{}, d); err != nil {
		t.Fatal(err)
	}
	patch := fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(`{"spec": {"tag": "v2"}}`)}
	if _, err := r.PatchObject(t.Context(), controller.WriteOptions{}, "ann", objectNamed("App/web"), patch); err != nil {
		t.Fatal(err)
	}
	history := r.history()
	if got := history[len(history)-2].Reason; got != "INC-1" {
		t.Errorf("the delta was put for %q, want its own reason", got)
	}
	if got := history[len(history)-1].Reason; got != "" {
		t.Errorf("the patch was made for %q, which was said of another change", got)
	}
}
