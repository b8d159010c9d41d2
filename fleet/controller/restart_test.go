package controller_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// worked is acme after some writes, and stopped; the URL is its store's.
func worked(t *testing.T) (r *rig, url string) {
	t.Helper()
	url = sqliteFile(t)
	s := newScript()
	s.put("main@1", acme())
	r = start(t, s, openStore(t, url))
	r.awaitRevision("main@1")
	r.apply(`{name: dev, selector: {matchLabels: {environment: dev}}, components: [components/extra], edits: [{kind: App, name: db, patch: {spec: {replicas: 3}}}]}`)
	r.patch("ann", "App/web", `{"spec": {"env": {"a": null, "c": "<3>"}}}`)
	r.patch("cid", "App/web", `{"spec": {"tag": "v2"}}`)
	r.stop()
	return r, url
}

func TestRestartServesTheSameBytesWhileTheSourceIsDown(t *testing.T) {
	t.Parallel()
	before, url := worked(t)
	s := newScript()
	s.fail(errors.New("no route to host"))
	r := start(t, s, openStore(t, url))
	r.awaitRevision("main@1")
	if got, want := r.everything(), before.everything(); got != want {
		t.Errorf("after a restart\n%s\nwant\n%s", got, want)
	}
	if got, want := r.view().Release(), before.view().Release(); !got.At.Equal(want.At) || got.ID != want.ID || got.Clusters != want.Clusters {
		t.Errorf("release = %+v, want %+v", got, want)
	}

	// And it is written to as before.
	r.patch("bob", "App/web", `{"spec": {"tag": "v3"}}`)
	r.wantInput("bob", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"v3"}`)

	s.put("main@1", acme())
	r.Look()
	r.await("a look at the source", func() bool { return !r.Status().LookedAt.IsZero() })
	if got, want := r.view().Generation(), before.view().Generation()+1; got != want {
		t.Errorf("generation = %d once the source is back where it was, want %d", got, want)
	}
}

func TestSourceThatHasTheLiveRevisionAgainTakesNoGeneration(t *testing.T) {
	t.Parallel()
	before, url := worked(t)
	s := newScript()
	r := start(t, s, openStore(t, url), func(c *controller.Config) { c.Source = forgetful{s} })
	s.put("main@1", acme())
	r.Look()
	r.await("a look at the source", func() bool { return !r.Status().LookedAt.IsZero() })
	r.stop()
	if got, want := r.everything(), before.everything(); got != want {
		t.Errorf("after a look at what is live\n%s\nwant\n%s", got, want)
	}
}

func TestRestartServesTheLiveReleaseThatTheSourceHasNoMore(t *testing.T) {
	t.Parallel()
	before, url := worked(t)
	s := newScript()
	s.put("main@2", acme("base/web.yaml", app("web", "[no, mapping]")))
	r := start(t, s, openStore(t, url))
	r.await("the hold", func() bool { return r.Status().Held != nil })
	if got, want := bodies(t, r.view()), bodies(t, before.view()); got != want {
		t.Errorf("after a force-push\n%s\nwant\n%s", got, want)
	}
}

func TestDamagedSnapshotIsWaitedForFromTheSource(t *testing.T) {
	t.Parallel()
	before, url := worked(t)
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE snapshots SET data = x'00'`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := newScript()
	s.fail(errors.New("no route to host"))
	r := start(t, s, openStore(t, url))
	r.await("a look at the source", func() bool { return r.Status().SourceError != nil })
	if v, err := r.View(); !errors.Is(err, fleet.ErrNotReady) {
		t.Errorf("View() = %v, %v of a store that is damaged, want %v", v, err, fleet.ErrNotReady)
	}
	if _, err := r.PutDelta(t.Context(), ada, r.document(`{name: x, clusters: [ann]}`)); !errors.Is(err, fleet.ErrNotReady) {
		t.Errorf("PutDelta = %v, want %v", err, fleet.ErrNotReady)
	}

	r.release("main@1", acme())
	if got, want := bodies(t, r.view()), bodies(t, before.view()); got != want {
		t.Errorf("once the source is back it serves\n%s\nwant\n%s", got, want)
	}
}

// forgetful is a source that reads what it has whatever is known.
type forgetful struct{ *script }

func (s forgetful) Fetch(ctx context.Context, _ string) (*fleet.Snapshot, error) {
	return s.script.Fetch(ctx, "")
}
