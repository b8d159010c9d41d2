package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetClusters(o *getOptions) *cobra.Command {
	var selector string
	cmd := &cobra.Command{
		Use:   "clusters [NAME]",
		Short: "Show all clusters, or one by name or dns",
		Long: `Shows each cluster with its labels, its overlay, the number of inputs that it gets, the
number of parts of deltas that no longer apply to it (orphans), its state (active,
orphaned or decommissioned), its release, and how long ago it last polled. A cluster is
late if it has not polled for longer than it usually does. For one cluster it also shows
why it is on that release, and its polls.

` + remote.Help,
		Example: `  tributary get clusters
  tributary get clusters --selector 'environment=prod,region in (eu,us)'
  tributary get clusters eu-prod-01 -o yaml

Exit status is 0, or 1 if the cluster does not exist or the server does not answer.`,
		Args: between(0, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && selector != "" {
				return errors.New("get clusters: use a name or --selector, not both")
			}
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				if len(args) > 0 {
					return getCluster(ctx, c, w, args[0], o)
				}
				return getClusters(ctx, c, w, selector, o)
			})
		},
	}
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "labels of the clusters to show, in the syntax of kubectl")
	return cmd
}

func getCluster(ctx context.Context, c *client.Client, w io.Writer, name string, o *getOptions) error {
	cluster, err := c.Cluster(ctx, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, cluster)
	}
	return listing.Cluster(w, cluster, time.Now())
}

func getClusters(ctx context.Context, c *client.Client, w io.Writer, selector string, o *getOptions) error {
	clusters, err := c.Clusters(ctx, selector)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, api.List[api.Cluster]{Items: clusters})
	}
	return listing.Clusters(w, clusters, time.Now())
}
