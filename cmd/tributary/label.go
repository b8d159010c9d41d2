package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newLabel() *cobra.Command {
	o := &writeFlags{}
	cmd := &cobra.Command{
		Use:   "label CLUSTER KEY=VALUE... KEY-...",
		Short: "Change the labels of a cluster that the API declares",
		Long: `Sets labels of a cluster, and with a dash after the key takes them away. Placement
follows: prints the inputs that change, as a diff. The labels of a cluster that the
fleet repo declares are changed there.

` + serverHelp,
		Example: `  tributary label edge-7 environment=staging --dry-run
  tributary label edge-7 region=eu gpu- --reason 'moved to Dublin'

Exit status is 0, or 1 if nothing was changed.`,
		Args: cobra.ArbitraryArgs, // What is missing is told below, in words.
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return named("CLUSTER")(cmd, args)
			}
			patch, err := labelPatch(args[1:])
			if err != nil {
				return fmt.Errorf("label: %w", err)
			}
			client, err := o.client()
			if err != nil {
				return err
			}
			result, err := client.PatchCluster(cmd.Context(), o.options(), args[0], patch)
			if err != nil {
				return refused(err)
			}
			return o.printResult(cmd, result)
		},
	}
	o.bind(cmd)
	return cmd
}

// labelPatch is the merge patch of a cluster that sets and takes away labels.
func labelPatch(changes []string) ([]byte, error) {
	if len(changes) == 0 {
		return nil, errors.New("say which labels, as key=value, or key- to take one away")
	}
	labels := map[string]*string{}
	for _, text := range changes {
		key, value, set := strings.Cut(text, "=")
		label := &value
		if !set {
			var gone bool
			if key, gone = strings.CutSuffix(text, "-"); !gone {
				return nil, fmt.Errorf("%q: must be key=value, or key- to take it away", text)
			}
			label = nil
		}
		if _, again := labels[key]; again || key == "" {
			return nil, fmt.Errorf("%q: each change needs a key of its own", text)
		}
		labels[key] = label
	}
	return json.Marshal(map[string]any{"labels": labels})
}
