package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// groupFlags say of a named delta what it is called, whom it is for, and how long.
type groupFlags struct {
	flags     *pflag.FlagSet
	delta     string
	selector  string
	clusters  []string
	priority  int
	expiresAt string
	expiresIn time.Duration
}

func (g *groupFlags) bind(f *pflag.FlagSet) {
	g.flags = f
	f.StringVar(&g.delta, "delta", "", "change a group of clusters, by the named delta of this name")
	f.StringVarP(&g.selector, "selector", "l", "", "labels of the clusters that the delta is for, as kubectl takes them")
	f.StringSliceVar(&g.clusters, "clusters", nil, "names of the clusters that the delta is for, with commas between")
	f.IntVar(&g.priority, "priority", 0, "place among named deltas: lower ones are applied first")
	f.StringVar(&g.expiresAt, "expires-at", "", "when the delta is withdrawn by itself (RFC 3339)")
	f.DurationVar(&g.expiresIn, "expires-in", 0, "how long from now the delta is withdrawn by itself, such as 72h")
}

// unused says which flag needs --delta.
func (g *groupFlags) unused() error {
	for _, name := range []string{"selector", "clusters", "priority", "expires-at", "expires-in"} {
		if g.flags.Changed(name) {
			return fmt.Errorf("--%s is for a named delta: say which with --delta", name)
		}
	}
	return nil
}

// patchGroup adds an edit to a named delta, which is made where there is none. What
// others write to it meanwhile stays.
func (o *patchOptions) patchGroup(ctx context.Context, c *client.Client, name fleet.ObjectName, change objectChange) (*fleet.Result, error) {
	switch {
	case change.patch != nil && change.patch.Type != fleet.MergePatch:
		return nil, errors.New("a named delta takes merge patches here; write it as a document with patches, and apply it")
	case change.assignments.Indexed():
		return nil, errors.New("an entry of a list is changed in the list that a cluster has, and this is for many: set the list as a whole, as {a,b} or with --set-json")
	}
	patch, err := change.of(nil)
	if err != nil {
		return nil, err
	}
	edit := fleet.Edit{Kind: name.Kind, Name: name.Name, Patch: patch.Body}
	if name.Group != nil {
		edit.Group = *name.Group
	}
	if name.Namespace != nil {
		edit.Namespace = *name.Namespace
	}
	id := fleet.DeltaID(o.group.delta)
	return untilFresh(func() (*fleet.Result, error) {
		d, tag, err := c.Delta(ctx, id)
		options := o.options()
		switch {
		case errors.Is(err, fleet.ErrNotFound):
			d, options.IfNoneMatch = &fleet.Delta{Name: o.group.delta, Reason: o.reason}, "*"
		case err != nil:
			return nil, err
		default:
			options.IfMatch = tag
		}
		if d, err = d.AddEdit(edit); err != nil {
			return nil, err
		}
		if err := o.group.apply(d, time.Now()); err != nil {
			return nil, err
		}
		body, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		return c.PutDelta(ctx, options, id, body)
	})
}

// apply puts what the flags say into a delta.
func (g *groupFlags) apply(d *fleet.Delta, now time.Time) error {
	if err := g.applyScope(d); err != nil {
		return err
	}
	if g.flags.Changed("priority") {
		d.Priority = g.priority
	}
	switch {
	case g.expiresAt != "" && g.expiresIn != 0:
		return errors.New("say --expires-at or --expires-in, not both")
	case g.expiresAt != "":
		at, err := time.Parse(time.RFC3339, g.expiresAt)
		if err != nil {
			return fmt.Errorf("--expires-at %q: must be a time such as 2026-01-02T03:04:05Z", g.expiresAt)
		}
		d.ExpiresAt = &at
	case g.expiresIn < 0:
		return fmt.Errorf("--expires-in %s: must be a time to come", g.expiresIn)
	case g.expiresIn > 0:
		at := now.Add(g.expiresIn).UTC().Truncate(time.Second)
		d.ExpiresAt = &at
	}
	return nil
}

// applyScope says whom a new delta is for. That of one that is there must stay as it
// is, because what it does already would move with it.
func (g *groupFlags) applyScope(d *fleet.Delta) error {
	var asked fleet.Delta
	switch isNew := d.Selector == nil && d.Clusters == nil; {
	case g.flags.Changed("selector") && g.flags.Changed("clusters"):
		return errors.New("say --selector or --clusters, not both")
	case g.flags.Changed("selector"):
		parsed, err := selector.Parse(g.selector)
		if errors.Is(err, selector.ErrEmpty) {
			err = fmt.Errorf("%w; a delta for all clusters is a document with selector: {}, for apply", err)
		}
		if err != nil {
			return err
		}
		asked.Selector = parsed
	case g.flags.Changed("clusters"):
		asked.Clusters = slices.Compact(slices.Sorted(slices.Values(g.clusters)))
	case isNew:
		return fmt.Errorf("delta %q is new: say which clusters it is for, with --selector or --clusters", d.Name)
	default:
		return nil
	}
	if d.Selector == nil && d.Clusters == nil {
		d.Selector, d.Clusters = asked.Selector, asked.Clusters
		return nil
	}
	there := *d
	there.Clusters = slices.Compact(slices.Sorted(slices.Values(d.Clusters)))
	if scopeText(&there) != scopeText(&asked) {
		return fmt.Errorf("delta %q is for %s already: leave out --selector and --clusters, or take another name", d.Name, selector.Describe(d.Selector, d.Clusters))
	}
	return nil
}

// scopeText identifies the clusters of a delta without shortening their names. A
// selector never looks like a list of names.
func scopeText(d *fleet.Delta) string {
	if d.Selector != nil {
		return selector.Describe(d.Selector, nil)
	}
	return fmt.Sprint(d.Clusters)
}
