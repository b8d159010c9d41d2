package fleet

import "context"

// Prepare does all that a release takes until it is decided on: it compiles a
// snapshot, renders it for every cluster, and weighs what it changes of what is served.
func (f *Fleet) Prepare(ctx context.Context, s *Snapshot) (*Impact, error) {
	b, err := compile(ctx, f.cfg.Renderer, s, f.now())
	if err != nil {
		return nil, err
	}
	v := f.current.Load()
	t, err := f.try(ctx, b, v, v.state, nil)
	if err != nil {
		return nil, err
	}
	return t.impact, nil
}
