package fleet

import (
	"context"
	"fmt"
	"time"
)

// Foresee tells what a snapshot would do as the release after another one, of a fleet
// that nobody serves and that has those deltas: it is what Preview tells of one that is
// served. It is an ErrInvalid where the one before is good for no cluster itself, or the
// deltas make no sense.
func Foresee(ctx context.Context, r Renderer, before, after *Snapshot, deltas []*Delta, at time.Time) (*Preview, error) {
	if _, err := DeltasFor(&Cluster{}, deltas); err != nil {
		return nil, err
	}
	f := New(Config{Renderer: r, Now: func() time.Time { return at }})
	first, err := f.trySnapshot(ctx, before, nil, state{deltas: listed(deltas)})
	if err != nil {
		return nil, err
	}
	if first.failed() {
		return nil, fmt.Errorf("%s is good for no cluster, so that nothing can be compared with it:\n%w", before.Revision, first.problems.Faults())
	}
	second, err := f.trySnapshot(ctx, after, first.next, first.next.state)
	if err != nil {
		return nil, err
	}
	return second.preview()
}

func (f *Fleet) trySnapshot(ctx context.Context, s *Snapshot, before *View, now state) (*trial, error) {
	b, err := compile(ctx, f.cfg.Renderer, s, f.now())
	if err != nil {
		return nil, err
	}
	return f.try(ctx, b, before, now, nil)
}
