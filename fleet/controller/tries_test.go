package controller_test

import (
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/tries"
)

// TestRevisionThatServersDiedOfIsNotTriedAgain has a log of servers that died while they evaluated a
// revision, as one does that is short of memory.
func TestRevisionThatServersDiedOfIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	source := newSource()
	source.put("main@1", acme())
	store := openStore(t, sqliteFile(t))
	for range tries.Most {
		if _, err := store.Tries().Begin(t.Context(), "main@2", tries.Most); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, source, store)
	r.awaitRevision("main@1")
	source.put("main@2", acme("base/web.yaml", app("web", "{tag: v2}")))
	r.Look()
	r.await("main@2 fails", func() bool { f := r.Status().Failed; return f != nil && f.Revision == "main@2" })
	if got := r.Status().Failed.Problems.Error(); !strings.Contains(got, "is not tried again: the server ended 3 times") {
		t.Errorf("problems = %s", got)
	}
	if got := r.stateOf("main@2"); got != fleet.Failed {
		t.Errorf("main@2 is %s", got)
	}
	r = r.restart()
	r.awaitRevision("main@1")
	// The same tree is tried as another revision.
	source.put("main@3", acme("base/web.yaml", app("web", "{tag: v2}")))
	r.Look()
	r.awaitRevision("main@3")
}
