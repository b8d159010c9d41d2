package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetInputs(o *getOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "inputs CLUSTER [SET]...",
		Aliases: []string{"input"},
		Short:   "Show the inputs that a cluster's Flux gets, of all sets or some",
		Long: `Shows the inputs of a cluster, which is given by name or dns. With one SET and -o
json it prints exactly the answer to a poll of that set.`,
		Example: `  tributary get inputs eu-prod-01
  tributary get inputs eu-prod-01 platform-components -o yaml

Exit status is 0, or 1 if the cluster or set does not exist or the server does not answer.`,
		Args: atLeast("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd, o, listing.Inputs, func(ctx context.Context, c *client.Client) (listing.Answer[listing.Input], error) {
				return getInputs(ctx, c, args[0], args[1:])
			})
		},
	}
}

// getInputs returns the inputs of a cluster, of some sets or all.
func getInputs(ctx context.Context, c *client.Client, cluster string, sets []string) (answer listing.Answer[listing.Input], err error) {
	one := len(sets) == 1
	if len(sets) == 0 {
		known, err := c.Cluster(ctx, cluster)
		if err != nil {
			return answer, err
		}
		sets = slices.Sorted(maps.Keys(known.Inputs))
	}
	answers := map[string]json.RawMessage{}
	for _, set := range sets {
		if answers[set], err = c.Inputs(ctx, cluster, set); err != nil {
			return answer, err
		}
		inputs, err := listing.ReadInputs(set, answers[set])
		if err != nil {
			return answer, err
		}
		answer.Items = append(answer.Items, inputs...)
	}
	answer.Document = func([]listing.Input) any {
		if one {
			return answers[sets[0]]
		}
		return answers
	}
	return answer, nil
}
