package controller_test

import (
	"context"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources"
)

// counted is a renderer that counts.
type counted struct {
	render.Renderer
	compiled, rendered *atomic.Int64
}

func newCounted() counted { return counted{compiled: &atomic.Int64{}, rendered: &atomic.Int64{}} }

func (c counted) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	c.compiled.Add(1)
	repo, err := c.Renderer.Compile(ctx, tree)
	return countedRepo{repo, c}, err
}

type countedRepo struct {
	fleet.Repo
	by counted
}

func (r countedRepo) Render(c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	r.by.rendered.Add(1)
	return r.Repo.Render(c, deltas, earlier)
}

// hearing is a store that tells when its server hears what is told.
type hearing struct {
	fleet.Store
	hears chan struct{}
	once  sync.Once
}

func (s *hearing) Listen(ctx context.Context, heard func(fleet.Notice)) error {
	return s.Store.Listen(ctx, func(n fleet.Notice) {
		s.once.Do(func() { close(s.hears) })
		heard(n)
	})
}

// followed are a server that leads, whose renderer can be held, and one that follows,
// whose renderer counts.
func followed(t *testing.T) (a, b *rig, h held, c counted) {
	t.Helper()
	url, s := pgtest.Start(t).Database(t), newScript()
	s.put("main@1", acme())
	h = held{now: &atomic.Bool{}, entered: make(chan struct{}), let: make(chan struct{})}
	a = start(t, s, openStore(t, url), func(c *controller.Config) { c.Renderer = h })
	a.awaitRevision("main@1")
	c = newCounted()
	store := &hearing{Store: openStore(t, url), hears: make(chan struct{})}
	b = start(t, s, store, func(f *controller.Config) { f.Renderer = c })
	b.awaitRevision("main@1")
	<-store.hears
	return a, b, h, c
}

// A server that follows has a release rendered before it is live, and meanwhile takes
// writes; only for whom they were it renders again.
func TestFollowerMakesReadyWhatIsComing(t *testing.T) {
	t.Parallel()
	a, b, h, c := followed(t)
	let := sync.OnceFunc(func() { close(h.let) })
	t.Cleanup(let) // else a would not end
	before := c.rendered.Load()
	h.now.Store(true)
	a.source.put("main@2", acme("base/web.yaml", app("web", "{tag: v2}")))
	a.Look()
	<-h.entered
	b.await("the clusters on the release to come", func() bool { return c.rendered.Load() == before+3 })
	b.patch("ann", "App/web", `{"spec":{"tag":"own"}}`)
	if got := b.view().Release().Revision; got == "main@2" {
		t.Fatal("a release is served that is not live")
	}
	compiled := c.compiled.Load()
	before = c.rendered.Load()
	let()
	b.awaitRevision("main@2")
	agree(t, []*rig{a, b})
	if got := c.compiled.Load() - compiled; got != 0 {
		t.Errorf("once the release is live it is compiled %d times more, want none", got)
	}
	if got := c.rendered.Load() - before; got != 1 {
		t.Errorf("once the release is live %d clusters are rendered, want ann alone", got)
	}
	b.wantInput("ann", "web", `{"tag":"own"}`)
	b.wantInput("bob", "web", `{"tag":"v2"}`)
}

// What was made ready of a release that does not go live is served to nobody, and is in
// the way of none that does.
func TestWhatIsMadeReadyOfAFailedReleaseIsNotServed(t *testing.T) {
	t.Parallel()
	a, b, _, _ := followed(t)
	before := bodies(t, b.view())
	for range 2 {
		a.source.put("main@bad", acme("base/web.yaml", app("web", "{tag: 7}")))
		a.Look()
		b.await("the failure", func() bool { return b.Status().Failed != nil })
		if got := bodies(t, b.view()); got != before {
			t.Errorf("after a release that failed\n%s\nis served, want\n%s", got, before)
		}
		a.release("main@good", acme("base/web.yaml", app("web", "{tag: v2}")))
		b.awaitRevision("main@good")
		agree(t, []*rig{a, b})
		before = bodies(t, b.view())
	}
}

// A server that starts while others go on serves at first what they served last, and
// not what they served when it began to render.
func TestRestoreEndsWhereTheLogDoes(t *testing.T) {
	t.Parallel()
	a, _, _, _ := followed(t)
	late := newCounted()
	behind := disturbed{late, func() { a.patch("ann", "App/web", `{"spec":{"tag":"late"}}`) }}
	f := controller.New(controller.Config{Source: newScript(), Renderer: behind, Store: a.store, Archive: sources.Archive{}})
	if err := f.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := f.View()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Generation(), a.view().Generation(); got != want {
		t.Errorf("it is at generation %d, want %d", got, want)
	}
}

// disturbed is a renderer during whose work something happens.
type disturbed struct {
	counted
	meanwhile func()
}

func (s disturbed) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	s.meanwhile()
	return s.counted.Compile(ctx, tree)
}
