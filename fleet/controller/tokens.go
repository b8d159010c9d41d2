package controller

import (
	"context"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/position"
	"github.com/tributary-gitops/tributary/fleet/credential"
)

// CreateToken creates a token. It is an ErrConflict where a valid token has its name.
func (c *Controller) CreateToken(ctx context.Context, o WriteOptions, r credential.Request) (*credential.NewToken, error) {
	if problems := r.Check(); len(problems) > 0 {
		return nil, problems
	}
	var made *credential.NewToken
	generation, err := c.writeTokens(ctx, o, func() ([]fleet.TokenChange, error) {
		one, change, err := r.New(c.Tokens(), o.Actor, c.now())
		if made = one; err != nil {
			return nil, err
		}
		return []fleet.TokenChange{change}, nil
	})
	if err != nil {
		return nil, err
	}
	made.Generation = generation
	return made, nil
}

// RevokeToken ends a token, by its ID or name. A token that has ended stays as it is. It is an
// ErrConflict where several valid tokens have the name.
func (c *Controller) RevokeToken(ctx context.Context, o WriteOptions, idOrName string) (generation int64, err error) {
	return c.writeTokens(ctx, o, func() ([]fleet.TokenChange, error) { return c.Tokens().Revoke(idOrName, c.now()) })
}

// writeTokens changes tokens alone, which needs no release. It returns the generation afterwards.
func (c *Controller) writeTokens(ctx context.Context, o WriteOptions, mutate func() ([]fleet.TokenChange, error)) (generation int64, err error) {
	err = c.change(ctx, o.Actor, string(fleet.TokensChanged), writePace, func(_ context.Context, at *position.Position) (*proposal, error) {
		changes, err := mutate()
		if generation = at.State.Generation; err != nil || o.DryRun || len(changes) == 0 {
			return nil, err
		}
		change := &fleet.Change{At: c.now(), Kind: fleet.TokensChanged, Actor: o.Actor, Reason: o.Reason, Tokens: changes}
		return &proposal{change: change, done: func() { generation = change.Generation }}, nil
	})
	return generation, err
}
