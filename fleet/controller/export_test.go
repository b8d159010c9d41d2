package controller

import (
	"context"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Evaluate compiles a snapshot and evaluates it against the current state.
func (c *Controller) Evaluate(ctx context.Context, s *fleet.Snapshot) (*fleet.Impact, error) {
	compiled, err := fleet.Compile(ctx, c.cfg.Renderer, s, "", c.now())
	if err != nil {
		return nil, err
	}
	v := c.served()
	evaluated, err := c.releaser.evaluate(ctx, compiled, v, v.State(), nil)
	if err != nil {
		return nil, err
	}
	return evaluated.Impact, nil
}

// Candidate is an evaluated release.
type Candidate struct {
	View       *view.View
	Impact     *fleet.Impact
	Problems   fleet.Problems
	Violations []fleet.Violation
	Change     *fleet.Change
	Deltas     []*fleet.Delta
}

// Reevaluate evaluates a snapshot, calls write, and evaluates the snapshot again in two ways. reused
// uses renderings of the first evaluation; fresh uses nothing of it.
func (c *Controller) Reevaluate(ctx context.Context, s *fleet.Snapshot, write func()) (reused, fresh *Candidate, err error) {
	compiled, err := fleet.Compile(ctx, c.cfg.Renderer, s, "", c.now())
	if err != nil {
		return nil, nil, err
	}
	first, err := c.releaser.evaluate(ctx, compiled, c.served(), c.state(), nil)
	if err != nil {
		return nil, nil, err
	}
	write()
	v := c.served()
	fromScratch, err := c.releaser.evaluate(ctx, compiled, v, c.state(), nil)
	if err != nil {
		return nil, nil, err
	}
	withRenderings, err := c.releaser.evaluate(ctx, compiled, v, c.state(), first)
	if err != nil {
		return nil, nil, err
	}
	return withRenderings.exported(), fromScratch.exported(), nil
}

func (c *candidate) exported() *Candidate {
	return &Candidate{c.next, c.Impact, c.Problems, c.Violations, c.change, c.next.Deltas()}
}

// TakeRevision takes the lead and makes a release of a snapshot.
func (c *Controller) TakeRevision(ctx context.Context, s *fleet.Snapshot) error {
	if _, _, err := c.cfg.Store.Lead(ctx, c.id, time.Minute); err != nil {
		return err
	}
	return c.releaser.takeRevision(ctx, s)
}
