// Package prefetch keeps a release that a server rendered before it went live, because the leader
// announced it. Else a server that follows would begin to compile and render only then,
// and would serve older answers than the leader for as long as that takes.
//
//	finish := cache.Begin(ref)
//	finish(render(ref))          // nil where it cannot be rendered
//	v := cache.Get(ctx, ref)     // waits for a rendering that has begun
package prefetch

import (
	"context"
	"sync"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Cache has at most one release. The zero value is empty. Its methods may be called from many
// goroutines.
type Cache struct {
	mu   sync.Mutex
	ref  fleet.ReleaseRef
	done chan struct{} // closed once view is set; nil where nothing was prefetched
	view *view.View    // nil where it could not be rendered
}

// Begin forgets what was prefetched, and lets those who want the release wait until finish.
func (c *Cache) Begin(ref fleet.ReleaseRef) (finish func(*view.View)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done := make(chan struct{})
	c.ref, c.done, c.view = ref, done, nil
	return func(v *view.View) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.done == done {
			c.view = v
		}
		close(done)
	}
}

// Get returns the view that was rendered of a release, or nil. It waits for one that is being rendered:
// beginning anew would take longer.
func (c *Cache) Get(ctx context.Context, ref fleet.ReleaseRef) *view.View {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done := c.done; c.ref == ref && done != nil {
		c.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
		}
		c.mu.Lock()
	}
	if c.ref == ref {
		return c.view
	}
	return nil
}

// Forget drops what was prefetched, once it is known what became of the release.
func (c *Cache) Forget(known func(fleet.ReleaseRef) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known(c.ref) {
		c.ref, c.done, c.view = fleet.ReleaseRef{}, nil, nil
	}
}
