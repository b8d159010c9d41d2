package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetClusters(o *getOptions) *cobra.Command {
	var selector string
	cmd := &cobra.Command{
		Use:     "clusters [NAME]...",
		Aliases: []string{"cluster", "cl"},
		Short:   "Show all clusters, or some by name or dns",
		Long: `Shows each cluster with its state (active, orphaned or decommissioned), its release, the
number of inputs that it gets, the number of parts of deltas that no longer apply to it,
and how long ago it last polled. A cluster is late if it has not polled for longer than it
usually does. For one cluster it also shows its labels, why it is on that release, and its
polls.

` + remote.Help,
		Example: `  tributary get clusters
  tributary get clusters --selector 'environment=prod,region in (eu,us)'
  tributary get clusters eu-prod-01 -o yaml

Exit status is 0, or 1 if the cluster does not exist or the server does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && selector != "" {
				return errors.New("get clusters: use names or --selector, not both")
			}
			return show(cmd, o, listing.Clusters, func(ctx context.Context, c *client.Client) (answer listing.Answer[api.Cluster], err error) {
				if len(args) == 0 {
					answer.Items, err = c.Clusters(ctx, selector)
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
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "labels of the clusters to show, in the syntax of kubectl")
	return cmd
}
