package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/edit"
	"github.com/tributary-gitops/tributary/server/client"
)

// patchGroup adds an edit to a named delta, which it creates if necessary. It keeps
// concurrent changes to the delta.
func (o *patchOptions) patchGroup(ctx context.Context, c *client.Client, name fleet.ObjectName, change flags.ObjectChange) (*fleet.Result, error) {
	switch {
	case !change.IsMerge():
		return nil, errors.New("--delta takes merge patches only; write a document with patches for tributary apply")
	case change.Indexed():
		return nil, errors.New("the entries of a list can differ between clusters: with --delta, set the list as a whole, as {a,b} or with --set-json")
	}
	patch, err := change.Patch(nil)
	if err != nil {
		return nil, err
	}
	one := fleet.Edit{Kind: name.Kind, Name: name.Name, Patch: patch.Body}
	if name.Group != nil {
		one.Group = *name.Group
	}
	if name.Namespace != nil {
		one.Namespace = *name.Namespace
	}
	id := fleet.DeltaID(o.group.Name)
	return retryStale(func() (*fleet.Result, error) {
		d, tag, err := c.Delta(ctx, id)
		options := o.Options()
		switch {
		case errors.Is(err, fleet.ErrNotFound):
			d, options.IfNoneMatch = &fleet.Delta{Name: o.group.Name, Reason: o.Reason}, "*"
		case err != nil:
			return nil, err
		default:
			options.IfMatch = tag
		}
		if d, err = edit.AddEdit(*d, one); err != nil {
			return nil, err
		}
		if err := o.group.Apply(d, time.Now()); err != nil {
			return nil, err
		}
		err = errors.Join(o.match.Selector(ctx, c, "selector", o.group.Selector), o.match.Names(ctx, c, o.group.Clusters))
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		return c.PutDelta(ctx, options, id, body)
	})
}
