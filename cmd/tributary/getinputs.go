package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetInputs(o *getOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "inputs CLUSTER [SET]",
		Short: "The inputs that a cluster's Flux polls, of all sets or one",
		Long: `Shows the inputs of a cluster, by its name or dns. With SET and -o json it prints
exactly what a poll of that set is answered.

` + serverHelp,
		Example: `  tributary get inputs eu-prod-01
  tributary get inputs eu-prod-01 platform-components -o yaml

Exit status is 0, or 1 if there is no such cluster or set, or no answer.`,
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
	return inputTable(w, map[string]json.RawMessage{set: answer})
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
	return inputTable(w, all)
}

// longestSummary is how much of an input a line of a table has room for.
const longestSummary = 100

func inputTable(w io.Writer, sets map[string]json.RawMessage) error {
	t := table.New(w, "SET", "ID", "FIELDS")
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		var answer struct{ Inputs []map[string]json.RawMessage }
		if err := json.Unmarshal(sets[set], &answer); err != nil {
			return err
		}
		for _, input := range answer.Inputs {
			var id string
			if err := json.Unmarshal(input["id"], &id); err != nil {
				return err
			}
			t.Row(set, id, summary(input))
		}
	}
	return t.Flush()
}

// summary is what an input says of its own, cut where it is long.
func summary(input map[string]json.RawMessage) string {
	text := ""
	for _, field := range slices.Sorted(maps.Keys(input)) {
		if field != "id" && field != "cluster" {
			text += field + "=" + string(input[field]) + " "
		}
	}
	if runes := []rune(text); len(runes) > longestSummary {
		return string(runes[:longestSummary]) + "…"
	}
	return text
}
