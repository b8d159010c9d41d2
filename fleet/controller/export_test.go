package controller

import (
	"context"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Evaluate does everything that a release takes until it is decided on.
func (c *Controller) Evaluate(ctx context.Context, s *fleet.Snapshot) (*fleet.Impact, error) {
	compiled, err := fleet.Compile(ctx, c.cfg.Renderer, s, "", c.now())
	if err != nil {
		return nil, err
	}
	v := c.current.Load()
	evaluated, err := c.releaser.evaluate(ctx, compiled, v, v.State(), nil)
	if err != nil {
		return nil, err
	}
	return evaluated.Impact, nil
}

// Candidate is what a release would make of the fleet.
type Candidate struct {
	View       *view.View
	Impact     *fleet.Impact
	Problems   fleet.Problems
	Violations []fleet.Violation
	Change     *fleet.Change
	Deltas     []*fleet.Delta
}

// Rebase evaluates a snapshot, writes something, and evaluates it again: with what was written alone,
// where that can be done, with what the first evaluation found, and anew.
func (c *Controller) Rebase(ctx context.Context, s *fleet.Snapshot, write func()) (rebased, reused, anew *Candidate, err error) {
	compiled, err := fleet.Compile(ctx, c.cfg.Renderer, s, "", c.now())
	if err != nil {
		return nil, nil, nil, err
	}
	first, err := c.releaser.evaluate(ctx, compiled, c.current.Load(), c.state(), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	write()
	v := c.current.Load()
	once, err := c.releaser.evaluate(ctx, compiled, v, c.state(), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	twice, err := c.releaser.evaluate(ctx, compiled, v, c.state(), first)
	if err != nil {
		return nil, nil, nil, err
	}
	quick, err := c.releaser.rebase(ctx, first, v, c.state())
	return quick.exported(), twice.exported(), once.exported(), err
}

func (c *candidate) exported() *Candidate {
	if c == nil {
		return nil
	}
	return &Candidate{c.next, c.Impact, c.Problems, c.Violations, c.change, c.next.Deltas()}
}
