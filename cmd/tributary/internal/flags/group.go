package flags

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/fleet"
)

// Group describes a named delta.
type Group struct {
	flags     *pflag.FlagSet
	Name      string // of the delta; "" if the flag is not set
	Selector  string // the values of the flags
	Clusters  []string
	priority  int
	expiresAt string
	expiresIn time.Duration
}

// Bind adds the flags to f.
func (g *Group) Bind(f *pflag.FlagSet) {
	g.flags = f
	f.StringVar(&g.Name, "delta", "", "change a group of clusters with the named delta of this name")
	f.StringVarP(&g.Selector, "selector", "l", "", "labels of the clusters that the delta is for, in the syntax of kubectl")
	f.StringSliceVar(&g.Clusters, "clusters", nil, "names of the clusters that the delta is for, separated by commas")
	f.IntVar(&g.priority, "priority", 0, "priority among named deltas: lower ones are applied first")
	f.StringVar(&g.expiresAt, "expires-at", "", "when the delta expires (RFC 3339)")
	f.Var(Duration(&g.expiresIn, 0), "expires-in", "how long until the delta expires, such as 72h or 90d")
}

// Unused returns an error if a flag is set that requires --delta.
func (g *Group) Unused() error {
	for _, name := range []string{"selector", "clusters", "priority", "expires-at", "expires-in"} {
		if g.flags.Changed(name) {
			return fmt.Errorf("--%s requires --delta", name)
		}
	}
	return nil
}

// Apply sets the fields of a delta from the flags.
func (g *Group) Apply(d *fleet.Delta, now time.Time) error {
	if err := g.applyScope(d); err != nil {
		return err
	}
	if g.flags.Changed("priority") {
		d.Priority = g.priority
	}
	switch {
	case g.expiresAt != "" && g.expiresIn != 0:
		return errors.New("use --expires-at or --expires-in, not both")
	case g.expiresAt != "":
		at, err := time.Parse(time.RFC3339, g.expiresAt)
		if err != nil {
			return fmt.Errorf("--expires-at %q: must be a time such as 2026-01-02T03:04:05Z", g.expiresAt)
		}
		d.ExpiresAt = &at
	case g.expiresIn < 0:
		return fmt.Errorf("--expires-in %s: must be positive", g.expiresIn)
	case g.expiresIn > 0:
		at := now.Add(g.expiresIn).UTC().Truncate(time.Second)
		d.ExpiresAt = &at
	}
	return nil
}

// applyScope sets the clusters of a new delta. Those of an existing delta must not change,
// because its other edits would move with them.
func (g *Group) applyScope(d *fleet.Delta) error {
	var wanted fleet.Delta
	switch isNew := d.Selector == nil && d.Clusters == nil; {
	case g.flags.Changed("selector") && g.flags.Changed("clusters"):
		return errors.New("use --selector or --clusters, not both")
	case g.flags.Changed("selector"):
		parsed, err := selector.Parse(g.Selector)
		if errors.Is(err, selector.ErrEmpty) {
			err = fmt.Errorf("%w; for all clusters, apply a document with selector: {}", err)
		}
		if err != nil {
			return err
		}
		wanted.Selector = parsed
	case g.flags.Changed("clusters"):
		wanted.Clusters = slices.Compact(slices.Sorted(slices.Values(g.Clusters)))
	case isNew:
		return fmt.Errorf("delta %q is new: name its clusters with --selector or --clusters", d.Name)
	default:
		return nil
	}
	if d.Selector == nil && d.Clusters == nil {
		d.Selector, d.Clusters = wanted.Selector, wanted.Clusters
		return nil
	}
	there := *d
	there.Clusters = slices.Compact(slices.Sorted(slices.Values(d.Clusters)))
	if scopeText(&there) != scopeText(&wanted) {
		return fmt.Errorf("delta %q is already for %s: leave out --selector and --clusters, or use another name", d.Name, selector.Describe(d.Selector, d.Clusters))
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
