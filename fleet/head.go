package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// head is where the change log is: what the next change comes after. A view has
// the same, but there may be none for what the log says.
type head struct {
	generation int64
	deltas     deltaSet
	live       *Change // nil before the first release
	// behind is true where the log may hold more than is known here: an Append
	// whose end was not heard, or a change of another process.
	behind bool
}

// storeTime is how long one access to the store may take, which the writer's
// lock is held for.
const storeTime = 30 * time.Second

// restore takes up where the log ends, and serves what was served then.
func (f *Fleet) restore(ctx context.Context) error {
	if f.cfg.Store == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.catchUp(ctx)
}

// catchUp reads the log anew. The caller holds mu.
func (f *Fleet) catchUp(ctx context.Context) error {
	var state *LogState
	err := ask(ctx, func(ctx context.Context) (err error) {
		state, err = f.cfg.Store.Load(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if v := f.current.Load(); v != nil && state.Generation < v.generation {
		return fmt.Errorf("change log: %w: it ends at generation %d, and %d is served: it was replaced; put the right one back, or start anew",
			ErrStore, state.Generation, v.generation)
	}
	f.head = head{generation: state.Generation, deltas: listed(state.Deltas), live: state.Live}
	switch v := f.current.Load(); {
	case state.Live == nil:
		return nil
	case v != nil && v.wentLive == state.Live.Generation:
		err = f.refresh(ctx, v.clone())
	default:
		err = f.revive(ctx, state.Live)
	}
	if err != nil {
		f.head.behind = true
	}
	return err
}

// ask gives the store storeTime to do something. That it takes longer is the
// store's fault, and not that of the one who asked.
func ask(ctx context.Context, do func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err := do(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("%w: no answer within %s: %s", ErrStore, storeTime, err.Error())
	}
	return err
}

// revive puts the release live again that the log has last. Where it cannot be
// rendered any more, which an upgrade of Tributary may cause, nothing is served
// until the source has a revision that can.
func (f *Fleet) revive(ctx context.Context, live *Change) error {
	var packed *Packed
	err := ask(ctx, func(ctx context.Context) (err error) {
		packed, err = f.cfg.Store.Snapshot(ctx, live.Release.Snapshot)
		return err
	})
	var tree fs.FS
	if err == nil {
		tree, err = f.cfg.Archive.Unpack(ctx, packed)
	}
	switch {
	case errors.Is(err, ErrStore), ctx.Err() != nil:
		return err
	case err != nil:
		f.log.Error("live release cannot be taken up again; waiting for the source", "revision", live.Release.Revision, "err", err)
		return nil
	}
	s := &Snapshot{Revision: live.Release.Revision, Tree: tree}
	view, problems, err := Prepare(ctx, f.cfg.Renderer, s, f.head.deltas.list(), live.At, nil)
	switch {
	case err != nil:
		return err
	case view == nil:
		f.fail(s.Revision, problems)
		return nil
	}
	view.deltas, view.generation, view.wentLive = f.head.deltas, f.head.generation, live.Generation
	f.publish(view)
	f.log.Info("release is live again", "revision", s.Revision, "generation", view.generation, "clusters", len(view.members))
	return nil
}

// refresh publishes a view with the deltas of the head. The caller holds mu.
func (f *Fleet) refresh(ctx context.Context, v *View) error {
	problems, err := f.bringUp(ctx, v)
	if err == nil && len(problems.Faults()) > 0 {
		err = problems.Faults()
	}
	if err != nil {
		return err
	}
	v.generation = f.head.generation
	f.publish(v)
	return nil
}

// bringUp renders the clusters of a view anew whose deltas are others at the
// head. The view must not be published yet.
func (f *Fleet) bringUp(ctx context.Context, v *View) (Problems, error) {
	var moved []int
	for i, m := range v.members {
		if !slices.Equal(v.deltas.of(m.Cluster), f.head.deltas.of(m.Cluster)) {
			moved = append(moved, i)
		}
	}
	v.deltas = f.head.deltas
	return v.render(ctx, moved, true, nil)
}

// append makes a change durable as the next one, and moves the head. The caller
// holds mu. That the one who asked has gone away does not end it, since nobody
// could tell then whether it was kept.
func (f *Fleet) append(ctx context.Context, c *Change, deltas deltaSet) error {
	c.Generation = f.head.generation + 1
	if f.cfg.Store != nil {
		err := ask(context.WithoutCancel(ctx), func(ctx context.Context) error { return f.cfg.Store.Append(ctx, c) })
		if err != nil {
			f.head.behind = !errors.Is(err, ErrStoreFull)
			f.metrics.storeErrors.Inc()
			return err
		}
	}
	f.head.generation, f.head.deltas = c.Generation, deltas
	if c.Release != nil {
		f.head.live = c
	}
	return nil
}

// upToDate makes sure that the head is that of the log, which another process may
// write too, and tells whether it was not. The caller holds mu.
func (f *Fleet) upToDate(ctx context.Context) (moved bool, err error) {
	if f.cfg.Store == nil {
		return false, nil
	}
	var last int64
	err = ask(ctx, func(ctx context.Context) (err error) {
		last, err = f.cfg.Store.Generation(ctx)
		return err
	})
	if err != nil || last == f.head.generation && !f.head.behind {
		return false, err
	}
	before := f.head.generation
	err = f.catchUp(ctx)
	return err == nil && f.head.generation != before, err
}

// followLog takes up what other processes write, until ctx ends.
func (f *Fleet) followLog(ctx context.Context) {
	if f.cfg.Store == nil {
		return
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(logInterval):
		}
		if !f.mu.TryLock() {
			continue // Whoever writes looks at the log as well.
		}
		_, err := f.upToDate(ctx)
		f.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			f.log.Error("change log cannot be followed", "err", err)
		}
	}
}

// logInterval is how often the log is looked at for changes of other processes.
const logInterval = 2 * time.Second

// publish has polls answered with a view from now on. Metrics come first, so that
// whoever sees the view does not find those of the one before.
func (f *Fleet) publish(v *View) {
	f.metrics.published(v)
	f.current.Store(v)
	signal(f.written)
}
