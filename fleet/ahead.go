package fleet

import (
	"context"
	"sync"
	"time"
)

// ahead is a release that this server has made ready before it goes live, because the
// one that leads said that it might. Else a server that follows would begin to compile
// and to render it only then, with the writer's lock held: for as long as that takes it
// would serve what is older than the leader's, and neither write nor take up writes.
type ahead struct {
	mu   sync.Mutex
	key  releaseKey
	done chan struct{} // closed once view is what it is going to be; nil where there is nothing
	view *View         // nil where it could not be made ready
}

// announce has the other servers make a release ready, while this one does. What it
// cannot tell they find out once it is live.
func (f *Fleet) announce(ctx context.Context, revision string, packed *Packed) {
	if packed == nil {
		return
	}
	if v := f.current.Load(); v == nil || v.bases[releaseKey{revision, packed.Digest}] != nil {
		return // nobody has what it takes to be quick, or everybody has it
	}
	err := ask(ctx, func(ctx context.Context) error {
		return f.cfg.Store.Announce(ctx, revision, packed)
	})
	if err != nil && ctx.Err() == nil {
		f.log.Debug("release is not announced", "revision", revision, "err", err)
	}
}

// getAhead makes ready what is announced, until ctx ends.
func (f *Fleet) getAhead(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case key := <-f.coming:
			if !f.Status().Leading {
				f.makeReady(ctx, key)
			}
		}
	}
}

// makeReady renders a release for every cluster, beside what is served.
func (f *Fleet) makeReady(ctx context.Context, key releaseKey) {
	v := f.current.Load()
	if v == nil || v.bases[key] != nil {
		return
	}
	finish := f.ahead.begin(key)
	next, err := f.renderAhead(ctx, key, v)
	finish(next)
	if err != nil && ctx.Err() == nil {
		f.log.Debug("announced release is not made ready", "revision", key.revision, "err", err)
	}
}

func (f *Fleet) renderAhead(ctx context.Context, key releaseKey, v *View) (*View, error) {
	b, err := f.thawed(ctx, key, time.Time{})
	if err != nil {
		return nil, err
	}
	next := &View{base: b, marks: f.marks, bases: v.adding(b), state: v.state}
	_, err = next.render(ctx, next.seatAll(v), nil) // what is wrong is told once it is live
	return next, err
}

// begin forgets what was ready, and has who wants that release wait until finish.
func (a *ahead) begin(key releaseKey) (finish func(*View)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	done := make(chan struct{})
	a.key, a.done, a.view = key, done, nil
	return func(v *View) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.done == done {
			a.view = v
		}
		close(done)
	}
}

// of is the view that was made ready of a release, nil for none. It waits for one that
// is being made ready: to begin anew would take longer.
func (a *ahead) of(ctx context.Context, key releaseKey) *View {
	a.mu.Lock()
	defer a.mu.Unlock()
	if done := a.done; a.key == key && done != nil {
		a.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
		}
		a.mu.Lock()
	}
	if a.key == key {
		return a.view
	}
	return nil
}

// forget drops what was made ready once it is known what became of that release.
func (a *ahead) forget(known func(releaseKey) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known(a.key) {
		a.key, a.done, a.view = releaseKey{}, nil, nil
	}
}

// caughtUp has what was made ready forgotten that is served by now, held or failed.
// The caller holds mu.
func (f *Fleet) caughtUp() {
	v := f.current.Load()
	f.ahead.forget(func(k releaseKey) bool {
		return v != nil && v.bases[k] != nil || releaseID(k.revision) == f.head.candidate()
	})
}
