package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetInputs(o *getOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "inputs CLUSTER [SET]",
		Short: "Show the inputs that a cluster's Flux gets, of all sets or one",
		Long: `Shows the inputs of a cluster, which is given by name or dns. With SET and -o json it
prints exactly the answer to a poll of that set.

` + remote.Help,
		Example: `  tributary get inputs eu-prod-01
  tributary get inputs eu-prod-01 platform-components -o yaml

Exit status is 0, or 1 if the cluster or set does not exist or the server does not answer.`,
		Args: between(1, "CLUSTER", "SET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				if len(args) == 2 {
					return getSet(ctx, c, w, args[0], args[1], o)
				}
				return getInputs(ctx, c, w, args[0], o)
			})
		},
	}
}

func getSet(ctx context.Context, c *client.Client, w io.Writer, cluster, set string, o *getOptions) error {
	answer, err := c.Inputs(ctx, cluster, set)
	if err != nil {
		return err
	}
	if o.output != "" {
		return output.Document(w, answer, o.output)
	}
	return listing.Inputs(w, map[string]json.RawMessage{set: answer})
}

func getInputs(ctx context.Context, c *client.Client, w io.Writer, cluster string, o *getOptions) error {
	known, err := c.Cluster(ctx, cluster)
	if err != nil {
		return err
	}
	all := map[string]json.RawMessage{}
	for set := range known.Inputs {
		if all[set], err = c.Inputs(ctx, known.Name, set); err != nil {
			return err
		}
	}
	if o.output != "" {
		return o.print(w, all)
	}
	return listing.Inputs(w, all)
}
