package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetDeltas(o *getOptions) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use:   "deltas [NAME]",
		Short: "Show all deltas, a named one, or that of a cluster",
		Long: `Shows the deltas in the order in which they are applied, and their parts that no longer
apply to some clusters (orphans). As YAML they are documents for apply -f and render
--deltas. As JSON they include their status.

` + remote.Help,
		Example: `  tributary get deltas
  tributary get deltas pin-keda -o yaml
  tributary get deltas --cluster eu-prod-01 -o yaml
  tributary get deltas -o yaml > deltas.yaml

Exit status is 0, or 1 if the delta does not exist or the server does not answer.`,
		Args: between(0, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chosenDelta(args, cluster)
			if err != nil {
				return fmt.Errorf("get deltas: %w", err)
			}
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				return getDeltas(ctx, c, w, id, o)
			})
		},
	}
	cmd.Flags().StringVar(&cluster, "cluster", "", "show the delta of this cluster")
	return cmd
}

// chosenDelta returns the ID of the delta that a command line names; "" for none.
func chosenDelta(args []string, cluster string) (string, error) {
	switch {
	case len(args) > 0 && cluster != "":
		return "", errors.New("use a name or --cluster, not both")
	case len(args) > 0:
		return fleet.DeltaID(args[0]), nil
	case cluster != "":
		return fleet.OwnID(cluster), nil
	}
	return "", nil
}

func getDeltas(ctx context.Context, c *client.Client, w io.Writer, id string, o *getOptions) error {
	answers, err := deltasInOrder(ctx, c, id)
	if err != nil {
		return err
	}
	switch {
	case o.output == "yaml":
		deltas := make([]*fleet.Delta, len(answers))
		for i, a := range answers {
			deltas[i] = a.Delta
		}
		return document.PrintDeltas(w, deltas)
	case o.output == "json" && id != "":
		return output.JSON(w, answers[0])
	case o.output == "json":
		return output.JSON(w, api.List[api.Delta]{Items: answers})
	}
	return listing.Deltas(w, answers)
}

// deltasInOrder returns all deltas, or the one with an ID, with their status.
func deltasInOrder(ctx context.Context, c *client.Client, id string) ([]api.Delta, error) {
	if id != "" {
		d, _, err := c.Delta(ctx, id)
		if err != nil {
			return nil, err
		}
		id = d.ID() // the cluster may have been named by its dns
	}
	all, err := c.Deltas(ctx)
	if err != nil {
		return nil, err
	}
	if id != "" {
		all = slices.DeleteFunc(all, func(a api.Delta) bool { return a.ID() != id })
		if len(all) == 0 {
			return nil, fmt.Errorf("delta %q: %w", id, fleet.ErrNotFound) // deleted between the two requests
		}
	}
	slices.SortStableFunc(all, func(a, b api.Delta) int { return fleet.CompareDeltas(a.Delta, b.Delta) })
	return all, nil
}
