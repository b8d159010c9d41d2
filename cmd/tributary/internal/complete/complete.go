// Package complete lets a shell complete names that the server knows.
//
//	complete.Names(root)   // once all commands are there
package complete

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// names returns names that the server knows, given the arguments before.
type names func(ctx context.Context, c *client.Client, args []string) ([]string, error)

// completions has what the arguments of commands name; the last repeats.
var completions = map[string][]names{
	"get clusters": {clusterNames}, "get inputs": {clusterNames, setNames}, "get objects": {clusterNames, objectNames},
	"get deltas": {deltaNames}, "get releases": {releaseIDs}, "get pins": {pinNames},
	"patch": {clusterNames, objectNames}, "label": {clusterNames, none}, "compare": {clusterNames},
	"decommission": {clusterNames}, "recommission": {clusterNames}, "pin": {releaseIDs}, "unpin": {pinNames}, "wait": {releaseIDs},
	"delete cluster": {clusterNames}, "delete delta": {deltaNames}, "delete object": {clusterNames, objectNames},
	"release approve": {releaseIDs}, "release reject": {releaseIDs}, "release pause": {releaseIDs},
	"release resume": {releaseIDs}, "release skip": {releaseIDs}, "release abort": {releaseIDs},
}

// Names lets a shell complete the names that the server knows, as arguments and flags.
func Names(root *cobra.Command) {
	for path, positions := range completions {
		cmd, _, err := root.Find(strings.Fields(path))
		if err != nil {
			panic(err) // a test runs every path
		}
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			return complete(cmd, args, begun, positions[min(len(args), len(positions)-1)])
		}
		for flag, of := range map[string]names{"cluster": clusterNames, "clusters": clusterNames, "delta": deltaNames} {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
					return complete(cmd, args, begun, of)
				})
			}
		}
	}
}

// completionTimeout is how long a person waits for a shell.
const completionTimeout = 3 * time.Second

func complete(cmd *cobra.Command, args []string, begun string, of names) ([]string, cobra.ShellCompDirective) {
	if flags.FromEnvironment(cmd.Flags()) != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	c, err := remote.ClientOf(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	found, err := of(ctx, c, args)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return slices.DeleteFunc(found, func(name string) bool {
		return slices.Contains(args, name) || !strings.HasPrefix(name, begun)
	}), cobra.ShellCompDirectiveNoFileComp
}

func none(context.Context, *client.Client, []string) ([]string, error) { return nil, nil }

func clusterNames(ctx context.Context, c *client.Client, _ []string) (all []string, err error) {
	clusters, err := c.Clusters(ctx, "")
	for i := range clusters {
		all = append(all, clusters[i].Name)
	}
	return all, err
}

func setNames(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	cluster, err := c.Cluster(ctx, args[0])
	return slices.Sorted(maps.Keys(cluster.Inputs)), err
}

func objectNames(ctx context.Context, c *client.Client, args []string) (all []string, err error) {
	texts, err := c.Objects(ctx, args[0])
	for _, text := range texts {
		o, err := listing.ReadObject(text)
		if err != nil {
			return nil, err
		}
		all = append(all, listing.Objects.Name(o))
	}
	return all, err
}

func deltaNames(ctx context.Context, c *client.Client, _ []string) (all []string, err error) {
	deltas, err := c.Deltas(ctx)
	for _, d := range deltas {
		if d.Name != "" {
			all = append(all, d.Name)
		}
	}
	return all, err
}

func releaseIDs(ctx context.Context, c *client.Client, _ []string) (all []string, err error) {
	releases, err := c.Releases(ctx, fleet.ReleaseQuery{Limit: 50})
	for _, r := range releases.Items {
		all = append(all, r.ID+"\t"+string(r.State)+" "+textfmt.Visible(textfmt.Revision(r.Revision)))
	}
	return all, err
}

func pinNames(ctx context.Context, c *client.Client, _ []string) (all []string, err error) {
	pins, err := c.Pins(ctx)
	for _, p := range pins {
		all = append(all, p.Name)
	}
	return all, err
}
