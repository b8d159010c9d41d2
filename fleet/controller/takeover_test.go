package controller_test

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources/archive"
)

func TestNewLeaderKnowsWhatTheOldOneDecided(t *testing.T) {
	t.Parallel()
	const strict = "  guard: {removedPerFleet: 0}\n"
	url := sqliteFile(t)
	s := newSource()
	s.put("main@1", guarded(strict))
	old := start(t, s, openStore(t, url))
	old.awaitRevision("main@1")
	c := controller.New(controller.Config{Source: s, Renderer: render.Renderer{}, Store: openStore(t, url), Archive: archive.Archive{}})
	if err := c.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := guarded(strict, "base/db.yaml", app("db", "{tag: v2}"))
	old.release("main@2", second)
	old.propose("main@3", guarded(strict, "base/kustomization.yaml", noDB), fleet.Held)
	old.stop()
	// The source goes back to the live release before the new leader has read of any of that.
	if err := c.TakeRevision(t.Context(), &fleet.Snapshot{Revision: "main@2", Tree: second}); err != nil {
		t.Fatal(err)
	}
	if v, err := c.View(); err != nil || v.Release().Revision != "main@2" {
		t.Errorf("View = %v, want main@2", err)
	}
	if held := c.Status().Held; held != nil {
		t.Errorf("%s is still held, although the source holds the live release", held.Revision)
	}
}
