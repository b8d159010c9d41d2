package controller_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// countingRenderer is a renderer that counts compilations and renderings.
type countingRenderer struct {
	render.Renderer
	compiled *atomic.Int64
	rendered *names
}

// names are those of the clusters that were rendered.
type names struct {
	mu   sync.Mutex
	list []string
}

func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, name)
}

func (n *names) since(at int) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list[at:])
}

func newCountingRenderer() countingRenderer {
	return countingRenderer{compiled: &atomic.Int64{}, rendered: &names{}}
}

func (c countingRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	c.compiled.Add(1)
	repo, err := c.Renderer.Compile(ctx, tree)
	return countingRepo{repo, c}, err
}

type countingRepo struct {
	fleet.Repo
	renderer countingRenderer
}

func (r countingRepo) Render(ctx context.Context, c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	r.renderer.rendered.add(c.Name)
	return r.Repo.Render(ctx, c, deltas, earlier)
}

// listeningStore is a store that closes listening once notices arrive.
type listeningStore struct {
	fleet.Store
	listening chan struct{}
	once      sync.Once
}

func (s *listeningStore) Listen(ctx context.Context, notify func(fleet.Notice)) error {
	return s.Store.Listen(ctx, func(n fleet.Notice) {
		s.once.Do(func() { close(s.listening) })
		notify(n)
	})
}

// startLeaderAndFollower starts a leader a with the renderer h and a follower b with the renderer c.
func startLeaderAndFollower(t *testing.T) (a, b *rig, h blockingRenderer, c countingRenderer) {
	t.Helper()
	url, s := pgtest.Start(t).Database(t), newSource()
	s.put("main@1", acme())
	h = blockingRenderer{block: &atomic.Bool{}, entered: make(chan struct{}), release: make(chan struct{})}
	a = start(t, s, openStore(t, url), func(c *controller.Config) { c.Renderer = h })
	a.awaitRevision("main@1")
	c = newCountingRenderer()
	store := &listeningStore{Store: openStore(t, url), listening: make(chan struct{})}
	b = start(t, s, store, func(f *controller.Config) { f.Renderer = c })
	b.awaitRevision("main@1")
	<-store.listening
	return a, b, h, c
}

// A follower renders a release before it is live and accepts writes meanwhile. When the release
// goes live, it renders only the clusters of those writes again.
func TestFollowerPrefetchesTheNextRelease(t *testing.T) {
	t.Parallel()
	a, b, h, c := startLeaderAndFollower(t)
	release := sync.OnceFunc(func() { close(h.release) })
	t.Cleanup(release) // otherwise a never stops
	before := len(c.rendered.since(0))
	h.block.Store(true)
	a.source.put("main@2", acme("base/web.yaml", app("web", "{tag: v2}")))
	a.Look()
	<-h.entered
	b.await("the clusters on the next release", func() bool { return len(c.rendered.since(before)) == 3 })
	b.patch("ann", "App/web", `{"spec":{"tag":"own"}}`)
	if got := b.view().Release().Revision; got == "main@2" {
		t.Fatal("a release is served before it is live")
	}
	compiled := c.compiled.Load()
	before = len(c.rendered.since(0))
	release()
	b.awaitRevision("main@2")
	wantSameViews(t, []*rig{a, b})
	if got := c.compiled.Load() - compiled; got != 0 {
		t.Errorf("the live release is compiled %d times more, want 0", got)
	}
	// The notice of the write may come before its own end, and then ann is rendered once more.
	if got := slices.Compact(c.rendered.since(before)); !slices.Equal(got, []string{"ann"}) {
		t.Errorf("%q are rendered once the release is live, want ann only", got)
	}
	b.wantInput("ann", "web", `{"tag":"own"}`)
	b.wantInput("bob", "web", `{"tag":"v2"}`)
}

// The prefetched view of a release that fails is never served and does not delay later releases.
func TestPrefetchedViewOfAFailedReleaseIsNotServed(t *testing.T) {
	t.Parallel()
	a, b, _, _ := startLeaderAndFollower(t)
	before := bodies(t, b.view())
	for range 2 {
		a.source.put("main@bad", acme("base/web.yaml", app("web", "{tag: 7}")))
		a.Look()
		b.await("the failure", func() bool { return b.Status().Failed != nil })
		if got := bodies(t, b.view()); got != before {
			t.Errorf("served after a failed release =\n%s\nwant\n%s", got, before)
		}
		a.release("main@good", acme("base/web.yaml", app("web", "{tag: v2}")))
		b.awaitRevision("main@good")
		wantSameViews(t, []*rig{a, b})
		before = bodies(t, b.view())
	}
}

// A starting server serves the latest generation first, and not the generation that was current
// when it started to render.
func TestRestoreIncludesChangesWrittenDuringIt(t *testing.T) {
	t.Parallel()
	a, _, _, _ := startLeaderAndFollower(t)
	late := newCountingRenderer()
	behind := interruptedRenderer{late, func() { a.patch("ann", "App/web", `{"spec":{"tag":"late"}}`) }}
	f := controller.New(controller.Config{Source: newSource(), Renderer: behind, Store: a.store, Archive: archive.Archive{}})
	if err := f.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := f.View()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Generation(), a.view().Generation(); got != want {
		t.Errorf("generation = %d, want %d", got, want)
	}
}

// interruptedRenderer calls during before each compilation.
type interruptedRenderer struct {
	countingRenderer
	during func()
}

func (s interruptedRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	s.during()
	return s.countingRenderer.Compile(ctx, tree)
}

// cancelingStore ends a context once it has returned a snapshot.
type cancelingStore struct {
	fleet.Store
	cancel func()
}

func (s cancelingStore) Snapshot(ctx context.Context, digest string) (*fleet.Packed, error) {
	packed, err := s.Store.Snapshot(ctx, digest)
	s.cancel()
	return packed, err
}

func TestServerThatStopsWhileItLoadsAReleaseReportsThat(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.stop()
	ctx, cancel := context.WithCancel(t.Context())
	c := controller.New(controller.Config{Renderer: render.Renderer{}, Archive: archive.Archive{}, Store: cancelingStore{r.store, cancel}})
	if err := c.Restore(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Restore() = %v, want that its context ended", err)
	}
}
