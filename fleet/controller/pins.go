package controller

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Pin keeps the clusters of a pin on its release. A pin of that name is replaced. What is wrong with
// it is Problems, and so is what is wrong with the release for one of the clusters.
func (c *Controller) Pin(ctx context.Context, o WriteOptions, p fleet.Pin) (*fleet.Result, error) {
	if problems := p.Check(c.cfg.Now()); len(problems) > 0 {
		return nil, problems
	}
	release, err := c.findRelease(ctx, p.Release)
	if err != nil {
		return nil, err
	}
	if release.Digest == "" && c.cfg.Store != nil {
		return nil, fmt.Errorf("release %s: %w: it is %s, and nothing of it can be served", release.ID, fleet.ErrConflict, release.State)
	}
	compiled, err := c.loadRelease(ctx, release.Ref(), release.At)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: releases are kept while a cluster is on them, while they are held or pinned, and if they are among the last to go live", fleet.ErrConflict, err)
	}
	p.Release, p.Revision, p.Snapshot = release.ID, release.Revision, release.Digest
	p.Clusters = slices.Compact(slices.Sorted(slices.Values(p.Clusters)))
	return c.write(ctx, o, fleet.Pinned, func(v *view.View) (*mutation, error) {
		before := v.State().Pins.Get(p.Name)
		if err := o.check(Version(before)); err != nil {
			return nil, err
		}
		if reflect.DeepEqual(before, &p) {
			return &mutation{}, nil
		}
		m := &mutation{pins: []fleet.PinChange{{Pin: p.Name, Before: before, After: &p}}, pinned: compiled}
		for _, name := range p.Clusters {
			if v.Named(name) == nil {
				m.warnings = append(m.warnings, fmt.Sprintf("there is no cluster %q", name))
			}
		}
		return m, nil
	})
}

// Unpin removes a pin. Its clusters go with the fleet again, except those that the fleet's release is
// not valid for.
func (c *Controller) Unpin(ctx context.Context, o WriteOptions, name string) (*fleet.Result, error) {
	return c.write(ctx, o, fleet.Pinned, func(v *view.View) (*mutation, error) {
		before := v.State().Pins.Get(name)
		if before == nil {
			return nil, fmt.Errorf("pin %q: %w", name, fleet.ErrNotFound)
		}
		if err := o.check(Version(before)); err != nil {
			return nil, err
		}
		return &mutation{pins: []fleet.PinChange{{Pin: name, Before: before}}}, nil
	})
}
