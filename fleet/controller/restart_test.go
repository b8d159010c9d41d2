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

// stoppedAfterWrites runs acme, makes some writes and stops. url is that of the store.
func stoppedAfterWrites(t *testing.T) (r *rig, url string) {
	t.Helper()
	url = sqliteFile(t)
	s := newSource()
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
	before, url := stoppedAfterWrites(t)
	s := newSource()
	s.fail(errors.New("no route to host"))
	r := start(t, s, openStore(t, url))
	r.awaitRevision("main@1")
	if got, want := r.everything(), before.everything(); got != want {
		t.Errorf("state after a restart =\n%s\nwant\n%s", got, want)
	}
	if got, want := r.view().Release(), before.view().Release(); !got.At.Equal(want.At) || got.ID != want.ID || got.Clusters != want.Clusters {
		t.Errorf("release = %+v, want %+v", got, want)
	}

	// Writes work as before.
	r.patch("bob", "App/web", `{"spec": {"tag": "v3"}}`)
	r.wantInput("bob", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"v3"}`)

	s.put("main@1", acme())
	r.Look()
	r.await("a look at the source", func() bool { return !r.Status().LookedAt.IsZero() })
	if got, want := r.view().Generation(), before.view().Generation()+1; got != want {
		t.Errorf("generation = %d after the source returned with the same revision, want %d", got, want)
	}
}

func TestLiveRevisionFetchedAgainTakesNoGeneration(t *testing.T) {
	t.Parallel()
	before, url := stoppedAfterWrites(t)
	s := newSource()
	r := start(t, s, openStore(t, url), func(c *controller.Config) { c.Source = forgetfulSource{s} })
	s.put("main@1", acme())
	r.Look()
	r.await("a look at the source", func() bool { return !r.Status().LookedAt.IsZero() })
	r.stop()
	if got, want := r.everything(), before.everything(); got != want {
		t.Errorf("state after the live revision was fetched again =\n%s\nwant\n%s", got, want)
	}
}

func TestRestartServesTheLiveReleaseAfterAForcePush(t *testing.T) {
	t.Parallel()
	before, url := stoppedAfterWrites(t)
	s := newSource()
	s.put("main@2", acme("base/web.yaml", app("web", "[no, mapping]")))
	r := start(t, s, openStore(t, url))
	r.await("a held release", func() bool { return r.Status().Held != nil })
	if got, want := bodies(t, r.view()), bodies(t, before.view()); got != want {
		t.Errorf("served after a force-push =\n%s\nwant\n%s", got, want)
	}
}

func TestDamagedSnapshotIsReplacedFromTheSource(t *testing.T) {
	t.Parallel()
	before, url := stoppedAfterWrites(t)
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
	s := newSource()
	s.fail(errors.New("no route to host"))
	r := start(t, s, openStore(t, url))
	r.await("a look at the source", func() bool { return r.Status().SourceError != nil })
	if v, err := r.View(); !errors.Is(err, fleet.ErrNotReady) {
		t.Errorf("View() = %v, %v with a damaged store, want %v", v, err, fleet.ErrNotReady)
	}
	if _, err := r.PutDelta(t.Context(), ada, r.document(`{name: x, clusters: [ann]}`)); !errors.Is(err, fleet.ErrNotReady) {
		t.Errorf("PutDelta = %v, want %v", err, fleet.ErrNotReady)
	}

	r.release("main@1", acme())
	if got, want := bodies(t, r.view()), bodies(t, before.view()); got != want {
		t.Errorf("served after the source returned =\n%s\nwant\n%s", got, want)
	}
}

// forgetfulSource is a source that ignores the known revision.
type forgetfulSource struct{ *scriptedSource }

func (s forgetfulSource) Fetch(ctx context.Context, _ string) (*fleet.Snapshot, error) {
	return s.scriptedSource.Fetch(ctx, "")
}
