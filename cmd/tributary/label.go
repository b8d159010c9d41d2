package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newLabel() *cobra.Command {
	o := &remote.WriteFlags{}
	cmd := &cobra.Command{
		Use:   "label CLUSTER KEY=VALUE... KEY-...",
		Short: "Change the labels of a cluster that was declared through the API",
		Long: `Sets labels of a cluster, or removes a label if a dash follows its key. The placement of
the cluster follows its labels: the command prints the inputs that change, as a diff.
Labels of a cluster in the fleet repo must be changed there.`,
		Example: `  tributary label edge-7 environment=staging --dry-run
  tributary label edge-7 region=eu gpu- --reason 'moved to Dublin'

Exit status is 0, or 1 if nothing was changed.`,
		Args: cobra.ArbitraryArgs, // checked below, with better messages
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return named("CLUSTER")(cmd, args)
			}
			patch, err := labelPatch(args[1:])
			if err != nil {
				return fmt.Errorf("label: %w", err)
			}
			return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
				return c.PatchCluster(ctx, options, args[0], patch)
			})
		},
	}
	o.Bind(cmd)
	return cmd
}

// labelPatch returns the merge patch of a cluster that sets and removes labels.
func labelPatch(changes []string) ([]byte, error) {
	if len(changes) == 0 {
		return nil, errors.New("name labels, as key=value to set one or key- to remove it")
	}
	labels := map[string]*string{}
	for _, text := range changes {
		key, value, set := strings.Cut(text, "=")
		label := &value
		if !set {
			var gone bool
			if key, gone = strings.CutSuffix(text, "-"); !gone {
				return nil, fmt.Errorf("%q: must be key=value to set a label, or key- to remove it", text)
			}
			label = nil
		}
		if _, again := labels[key]; again || key == "" {
			return nil, fmt.Errorf("%q: the key is empty or used twice", text)
		}
		labels[key] = label
	}
	return json.Marshal(map[string]any{"labels": labels})
}
