package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetClusters(o *getOptions) *cobra.Command {
	var only flags.Clusters
	var match remote.Match
	cmd := &cobra.Command{
		Use:     "clusters [NAME]...",
		Aliases: []string{"cluster", "cl"},
		Short:   "Show all clusters, or some by name or dns",
		Long: `Shows each cluster with its state (active, orphaned or decommissioned), its release, the
number of inputs that it gets, the number of parts of deltas that no longer apply to it,
how long ago it was last polled, and whether its Flux Operator polls (ok, late or
never). A poll by hand does not count for that. For one cluster it also shows its labels,
why it is on that release, and its polls.

` + flags.KindsHelp,
		Example: `  tributary get clusters
  tributary get clusters --selector 'environment=prod,region in (eu,us)'
  tributary get clusters --late
  tributary get clusters eu-prod-01 -o yaml

Exit status is 0, or 1 if the cluster does not exist or the server does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := only.Check(args); err != nil {
				return err
			}
			return show(cmd, o, listing.Clusters, func(ctx context.Context, c *client.Client) (answer listing.Answer[api.Cluster], err error) {
				if len(args) == 0 {
					answer.Items, err = c.Clusters(ctx, only.Selector, only.Kinds()...)
					if err == nil && len(answer.Items) == 0 {
						err = match.Selector(ctx, c, "selector", only.Selector)
					}
					return answer, err
				}
				answer, err = byName(args, func(name string) (api.Cluster, error) { return c.Cluster(ctx, name) })
				if answer.One && err == nil {
					answer.Below = func(w io.Writer) error { return listing.ClusterDetails(w, answer.Items[0]) }
				}
				return answer, err
			})
		},
	}
	only.Bind(cmd)
	match.Bind(cmd.Flags())
	return cmd
}
