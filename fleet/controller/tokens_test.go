package controller_test

import (
	"context"
	"io/fs"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/render"
)

// blockingRenderer is a renderer that blocks once in Render.
type blockingRenderer struct {
	render.Renderer
	block   *atomic.Bool  // whether the next Render blocks
	entered chan struct{} // closed when Render blocks
	release chan struct{} // close it to let Render continue
}

func (h blockingRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	repo, err := h.Renderer.Compile(ctx, tree)
	return blockingRepo{repo, h}, err
}

type blockingRepo struct {
	fleet.Repo
	renderer blockingRenderer
}

func (r blockingRepo) Render(ctx context.Context, c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	if r.renderer.block.CompareAndSwap(true, false) {
		close(r.renderer.entered)
		<-r.renderer.release
	}
	return r.Repo.Render(ctx, c, deltas, earlier)
}

// A token that another server revokes stops working within a second, also while this server
// renders a long write.
func TestRevokedTokenEndsOnAServerThatIsRendering(t *testing.T) {
	t.Parallel()
	url, s := sqliteFile(t), newSource()
	s.put("main@1", acme())
	a := start(t, s, openStore(t, url))
	a.awaitRevision("main@1")
	made, err := a.CreateToken(t.Context(), ada, credential.Request{Name: "grace", Role: fleet.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	h := blockingRenderer{block: &atomic.Bool{}, entered: make(chan struct{}), release: make(chan struct{})}
	b := start(t, s, openStore(t, url), func(c *controller.Config) { c.Renderer = h })
	b.await("the token", func() bool { return b.valid(made.Secret) })
	b.awaitRevision("main@1")
	h.block.Store(true)
	written := make(chan error, 1)
	go func() {
		_, err := b.PutDelta(t.Context(), ada, b.document(`{name: dev, selector: {matchLabels: {environment: dev}}, components: [components/extra]}`))
		written <- err
	}()
	<-h.entered
	if _, err := a.RevokeToken(t.Context(), ada, "grace"); err != nil {
		t.Fatal(err)
	}
	b.await("the end of the token", func() bool { return !b.valid(made.Secret) })
	close(h.release)
	if err := <-written; err != nil {
		t.Error(err)
	}
	wantSameViews(t, []*rig{a, b})
}
