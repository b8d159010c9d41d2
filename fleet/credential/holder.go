package credential

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/tributary-gitops/tributary/fleet"
)

// Holder has the tokens of the log. It never waits for what else the log has to be rendered: a revoked
// token must stop working within a second. The zero value has none, at generation 0. Its methods may be
// called from many goroutines.
type Holder struct {
	set        atomic.Pointer[Set]
	mu         sync.Mutex // guards generation, and set against concurrent updates
	generation int64
}

// Set returns the present tokens.
func (h *Holder) Set() *Set {
	if s := h.set.Load(); s != nil {
		return s
	}
	return NewSet(nil)
}

// Update replaces the tokens by those of a generation, unless later ones are known.
func (h *Holder) Update(generation int64, next func(*Set) *Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if generation >= h.generation {
		h.set.Store(next(h.Set()))
		h.generation = generation
	}
}

// Apply applies a change of the log.
func (h *Holder) Apply(c *fleet.Change) {
	if len(c.Tokens) > 0 {
		h.Update(c.Generation, func(s *Set) *Set { return s.Apply(c.Tokens) })
	}
}

// Read takes up the tokens that changed in the store.
func (h *Holder) Read(ctx context.Context, store fleet.Store) error {
	h.mu.Lock()
	from := h.generation
	h.mu.Unlock()
	changed, now, err := store.TokensSince(ctx, from)
	if err == nil {
		h.Update(now, func(s *Set) *Set { return s.With(changed) })
	}
	return err
}
