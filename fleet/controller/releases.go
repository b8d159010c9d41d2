package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// Releases returns those that match, newest first.
func (c *Controller) Releases(ctx context.Context, q fleet.ReleaseQuery) (found []fleet.Release, err error) {
	if c.cfg.Store != nil {
		found, err = read(ctx, storeTimeout, c.cfg.Store.Releases, q)
	} else {
		for _, r := range c.at.Load().Releases {
			matches := q.State == "" || q.State == r.State || q.State == fleet.Live && r.State == fleet.RollingOut
			if matches && (q.Before == 0 || r.Generation < q.Before) {
				found = append(found, *r)
			}
		}
		slices.SortFunc(found, func(a, b fleet.Release) int { return cmp.Compare(b.Generation, a.Generation) })
	}
	for i := range found {
		c.addProgress(ctx, &found[i])
	}
	return found, err
}

// Release returns one by its ID or revision, with the groups of its impact, or an ErrNotFound.
func (c *Controller) Release(ctx context.Context, id string) (*fleet.Release, error) {
	r, err := c.findRelease(ctx, id)
	if err == nil {
		c.addProgress(ctx, r)
	}
	return r, err
}

// findRelease returns a release by its ID or revision, or an ErrNotFound.
func (w *writer) findRelease(ctx context.Context, id string) (*fleet.Release, error) {
	if strings.Contains(id, "@") {
		id = fleet.ReleaseID(id)
	}
	if w.cfg.Store != nil {
		return read(ctx, storeTimeout, w.cfg.Store.Release, id)
	}
	known := w.at.Load().Releases[id]
	if known == nil {
		return nil, fmt.Errorf("release %q: %w", id, fleet.ErrNotFound)
	}
	r := *known
	return &r, nil
}

// addProgress adds the progress of a release that is rolling out.
func (w *writer) addProgress(ctx context.Context, r *fleet.Release) {
	if v := w.served(); v != nil && v.State().Rollout != nil && v.State().Rollout.Release.ID() == r.ID {
		r.Rollout, _ = w.progress(ctx, v)
	}
}
