package controller

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

// Trial is what a release would make of the fleet.
type Trial struct {
	View       *View
	Impact     *Impact
	Problems   Problems
	Violations []Violation
	Records    []RecordChange
	Deltas     []*Delta
}

// Overtaken tries a snapshot, has something written, and tries it on that: with what was
// written alone, where that can be done, with what the first trial found, and anew.
func (f *Fleet) Overtaken(ctx context.Context, s *Snapshot, write func()) (quick, again, anew *Trial, err error) {
	b, err := compile(ctx, f.cfg.Renderer, s, f.now())
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := f.try(ctx, b, f.current.Load(), f.head.state, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	write()
	v := f.current.Load()
	once, err := f.try(ctx, b, v, f.head.state, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	twice, err := f.try(ctx, b, v, f.head.state, t)
	if err != nil {
		return nil, nil, nil, err
	}
	t, err = t.overtaken(ctx, v, f.head.state)
	return t.told(), twice.told(), once.told(), err
}

func (t *trial) told() *Trial {
	if t == nil {
		return nil
	}
	return &Trial{t.next, t.impact, t.problems, t.violations, t.change.Records, t.next.deltas.list()}
}
