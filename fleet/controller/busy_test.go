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

// held is a renderer that takes until it is let go, once it is held.
type held struct {
	render.Renderer
	now     *atomic.Bool
	entered chan struct{}
	let     chan struct{}
}

func (h held) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	repo, err := h.Renderer.Compile(ctx, tree)
	return heldRepo{repo, h}, err
}

type heldRepo struct {
	fleet.Repo
	by held
}

func (r heldRepo) Render(c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	if r.by.now.CompareAndSwap(true, false) {
		close(r.by.entered)
		<-r.by.let
	}
	return r.Repo.Render(c, deltas, earlier)
}

// A token that another server revokes ends here within a second, although it takes
// longer than that to render what is being written for ten thousand clusters.
func TestRevokedTokenEndsAtAServerThatRenders(t *testing.T) {
	t.Parallel()
	url, s := sqliteFile(t), newScript()
	s.put("main@1", acme())
	a := start(t, s, openStore(t, url))
	a.awaitRevision("main@1")
	made, err := a.CreateToken(t.Context(), ada, credential.Request{Name: "grace", Role: fleet.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	h := held{now: &atomic.Bool{}, entered: make(chan struct{}), let: make(chan struct{})}
	b := start(t, s, openStore(t, url), func(c *controller.Config) { c.Renderer = h })
	b.await("the token", func() bool { return b.valid(made.Secret) })
	b.awaitRevision("main@1")
	h.now.Store(true)
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
	close(h.let)
	if err := <-written; err != nil {
		t.Error(err)
	}
	agree(t, []*rig{a, b})
}
