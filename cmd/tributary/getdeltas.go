package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetDeltas(o *getOptions) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use:     "deltas [NAME]...",
		Aliases: []string{"delta"},
		Short:   "Show all deltas, some by name, or that of a cluster",
		Long: `Shows the deltas in the order in which they are applied, and their parts that no longer
apply to some clusters. As YAML they are documents for apply -f and render
--deltas. As JSON they include their status.`,
		Example: `  tributary get deltas
  tributary get deltas pin-keda -o yaml
  tributary get deltas --cluster eu-prod-01 -o yaml
  tributary get deltas -o yaml > deltas.yaml

Exit status is 0, or 1 if the delta does not exist or the server does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && cluster != "" {
				return errors.New("get deltas: use names or --cluster, not both")
			}
			return show(cmd, o, listing.Deltas, func(ctx context.Context, c *client.Client) (listing.Answer[api.Delta], error) {
				return getDeltas(ctx, c, args, cluster)
			})
		},
	}
	cmd.Flags().StringVar(&cluster, "cluster", "", "show the delta of this cluster")
	return cmd
}

// getDeltas returns deltas in the order in which they are applied: those with some names, that of
// a cluster, or all.
func getDeltas(ctx context.Context, c *client.Client, names []string, cluster string) (answer listing.Answer[api.Delta], err error) {
	if cluster != "" {
		known, err := c.Cluster(ctx, cluster) // which may be named by its dns
		if err != nil {
			return answer, err
		}
		names = []string{fleet.OwnID(known.Name)}
	}
	all, err := c.Deltas(ctx)
	if err != nil {
		return answer, err
	}
	slices.SortStableFunc(all, func(a, b api.Delta) int { return fleet.CompareDeltas(a.Delta, b.Delta) })
	answer, err = pick("delta", all, names, func(d api.Delta, name string) bool { return d.ID() == name || d.ID() == fleet.DeltaID(name) })
	answer.Below = func(w io.Writer) error { return listing.DeltaDetails(w, answer.Items) }
	return answer, err
}
