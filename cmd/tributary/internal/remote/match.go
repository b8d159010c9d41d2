package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// Match makes sure that labels and names on the command line match clusters: what a slip of the
// pen selects is usually nothing.
type Match struct{ AllowNone bool }

// Bind adds the flag to f.
func (m *Match) Bind(f *pflag.FlagSet) {
	f.BoolVar(&m.AllowNone, "allow-none", false, "accept labels and names of clusters that match none, because the clusters are still to come")
}

// Selector returns an error if no cluster matches the value of a flag. None is needed for "", nor in
// a fleet without clusters.
func (m *Match) Selector(ctx context.Context, c *client.Client, flag, selector string) error {
	if m.AllowNone || selector == "" {
		return nil
	}
	found, err := c.HasCluster(ctx, selector)
	if err != nil || found {
		return err
	}
	any, err := c.HasCluster(ctx, "")
	if err == nil && any {
		err = fmt.Errorf("--%s %q: no cluster matches; tributary get clusters -o wide shows their labels, and --allow-none accepts it", flag, selector)
	}
	return err
}

// Names returns an error if one of the clusters does not exist.
func (m *Match) Names(ctx context.Context, c *client.Client, names []string) error {
	for _, name := range names {
		if m.AllowNone {
			return nil
		}
		switch _, err := c.Cluster(ctx, name); {
		case errors.Is(err, fleet.ErrNotFound):
			return fmt.Errorf("cluster %q: %w; tributary get clusters lists those that exist, and --allow-none accepts it", name, fleet.ErrNotFound)
		case err != nil:
			return err
		}
	}
	return nil
}
