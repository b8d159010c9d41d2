package controller_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
	"github.com/tributary-gitops/tributary/render"
)

// gatedRenderer is a renderer that, while its gate is shut, does not finish rendering a cluster.
type gatedRenderer struct {
	render.Renderer
	cluster string
	gate    *gate
}

type gate struct {
	mu      sync.Mutex
	open    chan struct{} // nil while the gate is open; else closed once it is
	entered chan struct{} // of capacity 1: somebody waits at the gate
}

func newGate() *gate { return &gate{entered: make(chan struct{}, 1)} }

func (g *gate) shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := make(chan struct{})
	g.open = shut
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(shut)
		g.open = nil
	})
}

func (g *gate) pass() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open != nil {
		select {
		case g.entered <- struct{}{}:
		default:
		}
		<-open
	}
}

func (g gatedRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	repo, err := g.Renderer.Compile(ctx, tree)
	return gatedRepo{repo, g}, err
}

type gatedRepo struct {
	fleet.Repo
	renderer gatedRenderer
}

func (r gatedRepo) Render(ctx context.Context, c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	if c.Name == r.renderer.cluster {
		r.renderer.gate.pass()
	}
	return r.Repo.Render(ctx, c, deltas, earlier)
}

// Whatever is being rendered, and however long that takes, somebody else's write goes on beside it, and
// both are kept.
func TestNothingIsRenderedWhileTheLockIsHeld(t *testing.T) {
	t.Parallel()
	patch := fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(`{"spec": {"replicas": 4}}`)}
	forBob := func(d string) string { return `{name: x, clusters: [bob], ` + d + `}` }
	const edits = `edits: [{kind: App, name: web, patch: {spec: {tag: v3}}}]`
	const db = "base/db.yaml"
	ctx := t.Context()
	write := func(_ *fleet.Result, err error) error { return err }
	nothing := func(*rig) {}
	for _, c := range []struct {
		name  string
		spec  string
		setup func(r *rig)
		start func(r *rig) error
	}{
		{"a new delta", "", nothing, func(r *rig) error { return write(r.PutDelta(ctx, ada, r.document(forBob(edits)))) }},
		{"a deleted delta", "", func(r *rig) { r.apply(forBob(edits)) }, func(r *rig) error { return write(r.DeleteDelta(ctx, ada, fleet.DeltaID("x"))) }},
		{"a patched object", "", nothing, func(r *rig) error { return write(r.PatchObject(ctx, ada, "bob", objectNamed("App/web"), patch)) }},
		{"an added object", "", nothing, func(r *rig) error {
			return write(r.PutObject(ctx, ada, "bob", objectNamed("App/new"), appJSON("new", "v1")))
		}},
		{"a removed object", "", nothing, func(r *rig) error { return write(r.DeleteObject(ctx, ada, "bob", objectNamed("App/db"))) }},
		{"a dry run", "", nothing, func(r *rig) error {
			dry := ada
			dry.DryRun = true
			return write(r.PutDelta(ctx, dry, r.document(forBob(edits))))
		}},
		{"a rollback", "", func(r *rig) { r.apply(forBob(edits)) }, func(r *rig) error {
			return write(r.Rollback(ctx, ada, controller.Rollback{Generation: 1, Delta: fleet.DeltaID("x")}))
		}},
		{"a declared cluster", "without bob", nothing, func(r *rig) error {
			_, result, err := r.Declare(ctx, ada, []byte(`{name: bob, labels: {environment: dev}}`))
			return write(result, err)
		}},
		{"a redeclared cluster", "without bob", func(r *rig) { r.declare(`{name: bob, labels: {environment: dev}}`) }, func(r *rig) error {
			return write(r.Redeclare(ctx, ada, "bob", []byte(`{"labels": {"environment": "prod"}}`)))
		}},
		{"a registration", "without bob", nothing, func(r *rig) error {
			_, err := r.register(r.token(bootstrap(nil)), credential.Registration{Name: "bob", Labels: map[string]string{"environment": "dev"}})
			return err
		}},
		{"a pin", "", func(r *rig) { r.release("main@2", acme(db, app("db", "{tag: v2}"))) }, func(r *rig) error {
			return write(r.Pin(ctx, ada, fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"bob"}}, Release: "main@1"}))
		}},
		{"an unpinned cluster", "", func(r *rig) {
			r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"bob"}}, Release: "main@1"})
			r.release("main@2", acme(db, app("db", "{tag: v2}")))
		}, func(r *rig) error { return write(r.Unpin(ctx, ada, "old")) }},
		{"a revision", "", nothing, func(r *rig) error {
			r.release("main@2", acme(db, app("db", "{tag: v2}")))
			return nil
		}},
		{"the first wave", inWaves, nothing, func(r *rig) error {
			r.propose("main@2", guarded(inWaves, db, app("db", "{tag: v2}")), fleet.Live)
			return nil
		}},
		{"the last wave", strings.Replace(inWaves, "dev", "prod", 1), func(r *rig) {
			r.propose("main@2", guarded(strings.Replace(inWaves, "dev", "prod", 1), db, app("db", "{tag: v2}")), fleet.Live)
		}, func(r *rig) error {
			_, err := r.Decide(ctx, ada, fleet.Skip, "main@2", "")
			r.await("main@2 everywhere", func() bool { return r.Advance(ctx) == nil && r.view().Release().Revision == "main@2" })
			return err
		}},
		{"an approval", "  guard: {removedPerFleet: 1%, removedPerCluster: 1%}\n", func(r *rig) {
			r.propose("main@2", guarded("  guard: {removedPerFleet: 1%, removedPerCluster: 1%}\n", "base/kustomization.yaml", noDB), fleet.Held)
		}, func(r *rig) error {
			_, err := r.Decide(ctx, ada, fleet.Approve, "main@2", "")
			return err
		}},
		{"an aborted rollout", inWaves, func(r *rig) { r.propose("main@2", guarded(inWaves, db, app("db", "{tag: v2}")), fleet.Live) }, func(r *rig) error {
			_, err := r.Decide(ctx, ada, fleet.Abort, "main@2", "")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bob := newGate()
			s, tree := newSource(), acme()
			switch c.spec {
			case "":
			case "without bob":
				delete(tree, "clusters/bob.yaml")
			default:
				tree = guarded(c.spec)
			}
			s.put("main@1", tree)
			r := start(t, s, openStore(t, sqliteFile(t)), func(cfg *controller.Config) { cfg.Renderer = gatedRenderer{cluster: "bob", gate: bob} })
			r.awaitRevision("main@1")
			c.setup(r)
			r.await("the lead", func() bool { return r.Status().Leading })
			open := bob.shut()
			defer open()
			ended := make(chan error, 1)
			go func() { ended <- c.start(r) }()
			select {
			case <-bob.entered:
			case err := <-ended:
				t.Fatalf("it ended with %v, and rendered nothing", err)
			}
			before := r.view().Generation()
			limited, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			if _, err := r.PatchObject(limited, controller.WriteOptions{Actor: "grace"}, "cid", objectNamed("App/web"), patch); err != nil {
				t.Fatalf("another write meanwhile = %v", err)
			}
			if got := r.view().Generation(); got != before+1 {
				t.Errorf("generation = %d, want %d: that of the other write", got, before+1)
			}
			open()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if got := r.input("cid", "web"); !strings.Contains(got, `"replicas":4`) {
				t.Errorf("web of cid = %s, want the other write", got)
			}
			wantFreshAnswers(t, r)
		})
	}
}

// wantFreshAnswers restarts a controller and checks that it serves the same.
func wantFreshAnswers(t *testing.T, r *rig) {
	t.Helper()
	r.awaitLog()
	served := bodies(t, r.view())
	again := r.restart()
	again.awaitLog()
	if got := bodies(t, again.view()); got != served {
		t.Errorf("served after a restart =\n%s\nwant\n%s", got, served)
	}
}

// What another server wrote is rendered without the lock, too. A write that must wait for it ends with
// its client.
func TestWriteOnAServerThatIsBehindEndsWithItsContext(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database(t)
	s := newSource()
	s.put("main@1", acme())
	a := start(t, s, openStore(t, url))
	a.awaitRevision("main@1")
	bob := newGate()
	b := start(t, s, openStore(t, url), func(cfg *controller.Config) { cfg.Renderer = gatedRenderer{cluster: "bob", gate: bob} })
	b.awaitRevision("main@1")
	open := bob.shut()
	defer open()
	a.patch("bob", "App/web", `{"spec": {"replicas": 4}}`)
	<-bob.entered
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := b.PatchObject(ctx, ada, "ann", objectNamed("App/web"), fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(`{"spec": {"replicas": 5}}`)})
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("write on a server that is behind = %v, want that its context ended", err)
	}
	open()
	b.patch("ann", "App/web", `{"spec": {"replicas": 6}}`)
	wantSameViews(t, []*rig{a, b})
}

// hookedRenderer is a renderer that calls a function before it renders a cluster with deltas.
type hookedRenderer struct {
	render.Renderer
	hook func(cluster string, deltas []*fleet.Delta)
}

func (h hookedRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	repo, err := h.Renderer.Compile(ctx, tree)
	return &hookedRepo{repo, h}, err
}

type hookedRepo struct {
	fleet.Repo
	renderer hookedRenderer
}

func (r *hookedRepo) Render(ctx context.Context, c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	r.renderer.hook(c.Name, deltas)
	return r.Repo.Render(ctx, c, deltas, earlier)
}

// Whenever ada's write is rendered, somebody else changes the same cluster, so that it is void. In ada's
// turn the others wait.
func TestWriteThatOthersAlwaysComeBeforeGetsThrough(t *testing.T) {
	t.Parallel()
	var r *rig
	var armed atomic.Bool
	var others sync.WaitGroup
	renderings := 0 // of ada's write: one at a time
	patch := func(actor, key string) error {
		p := fleet.ObjectPatch{Type: fleet.MergePatch, Body: fmt.Appendf(nil, `{"spec": {"env": {%q: "x"}}}`, key)}
		_, err := r.PatchObject(t.Context(), controller.WriteOptions{Actor: actor}, "bob", objectNamed("App/web"), p)
		return err
	}
	hook := func(cluster string, deltas []*fleet.Delta) {
		own := slices.ContainsFunc(deltas, func(d *fleet.Delta) bool { return strings.Contains(string(fleet.EncodeJSON(d)), `"own"`) })
		if cluster != "bob" || !own || strings.Contains(r.input("bob", "web"), `"own"`) || !armed.CompareAndSwap(true, false) {
			return // It is somebody else's write, or ada's is kept.
		}
		renderings++
		done := make(chan struct{})
		n := renderings
		others.Go(func() {
			defer close(done)
			if err := patch("grace", fmt.Sprintf("other-%d", n)); err != nil {
				t.Error(err)
			}
		})
		for waits := false; !waits; {
			select {
			case <-done:
				waits = true
			case <-time.After(time.Millisecond):
				waits = n > 1 && r.metric("tributary_writes_waiting") > 0
			}
		}
		armed.Store(true)
	}
	s := newSource()
	s.put("main@1", acme())
	r = start(t, s, openStore(t, sqliteFile(t)), func(cfg *controller.Config) { cfg.Renderer = hookedRenderer{hook: hook} })
	r.awaitRevision("main@1")
	armed.Store(true)
	if err := patch("ada", "own"); err != nil {
		t.Fatal(err)
	}
	armed.Store(false)
	others.Wait()
	history := r.history()
	place := slices.IndexFunc(history, func(c fleet.Change) bool { return c.Actor == "ada" })
	if place < 2 {
		t.Errorf("no other write came before ada's, which is entry %d", place)
	}
	web := r.input("bob", "web")
	for n := range renderings {
		if key := fmt.Sprintf("other-%d", n+1); !strings.Contains(web, key) {
			t.Errorf("web = %s, want %s", web, key)
		}
	}
	if !strings.Contains(web, "own") {
		t.Errorf("web = %s, want ada's write", web)
	}
}
