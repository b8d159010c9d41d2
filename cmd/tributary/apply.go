package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

type applyOptions struct {
	remote.WriteFlags
	file string
}

func newApply() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create or replace deltas and clusters from a file",
		Long: `Creates or replaces a delta for each document of a file: a named delta (field name), or
that of a cluster (field cluster). The format is that of get deltas -o yaml. A document of
kind Cluster, in the format of the fleet repo, declares a cluster through the API, or
updates one that was declared so.

The documents are sent one by one, in the order of the file. The first one that the server
rejects ends the command; those before it are kept. Prints the inputs that change, as a
diff.`,
		Example: `  tributary apply -f pin-keda.yaml --dry-run
  tributary apply -f pin-keda.yaml --reason INC-4711
  tributary apply -f edge-7.yaml
  tributary get deltas -o yaml | tributary apply -f - --server https://standby.example.com

Exit status is 0, or 1 if not all documents were applied.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return apply(cmd.Context(), cmd, o) },
	}
	o.Bind(cmd)
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", "file with deltas and clusters, - for standard input")
	return cmd
}

func apply(ctx context.Context, cmd *cobra.Command, o *applyOptions) error {
	if o.file == "" {
		return fmt.Errorf("apply: name a file with -f; see tributary apply --help")
	}
	data, err := document.ReadFile(o.file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	documents, err := document.Split(o.file, data)
	if err != nil {
		return err
	}
	client, err := o.Client()
	if err != nil {
		return err
	}
	results := make([]*fleet.Result, 0, len(documents))
	for i, d := range documents {
		result, err := o.put(ctx, client, d)
		if err != nil {
			err = fmt.Errorf("%s:%d: %s: %w", o.file, d.Line, d.ID, remote.Error(err))
			if i > 0 && !o.DryRun {
				err = fmt.Errorf("%w\nthe documents before it were applied", err)
			}
			return err
		}
		if len(documents) > 1 {
			o.Say(cmd.OutOrStdout(), d.ID)
		}
		if o.Output == "text" {
			if err := o.Print(cmd, result); err != nil {
				return err
			}
		}
		results = append(results, result)
	}
	return o.printAll(cmd, results)
}

// put sends a document to the server.
func (o *applyOptions) put(ctx context.Context, c *client.Client, d document.Document) (*fleet.Result, error) {
	name, isCluster := strings.CutPrefix(d.ID, document.ClusterPrefix)
	if !isCluster {
		return c.PutDelta(ctx, o.Options(), d.ID, d.Text)
	}
	fields, err := document.Cluster(d.Text)
	if err != nil {
		return nil, err
	}
	there, err := c.Cluster(ctx, name)
	switch {
	case err != nil && !errors.Is(err, fleet.ErrNotFound):
		return nil, err
	case err == nil && there.File == "" && there.Name == name:
		patch, err := document.ClusterPatch(fields, there.Labels)
		if err != nil {
			return nil, err
		}
		return c.PatchCluster(ctx, o.Options(), name, patch)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return c.DeclareCluster(ctx, o.Options(), body) // the server rejects a cluster that is in the fleet repo
}

// printAll prints results as JSON: a single one by itself, several as a list.
func (o *applyOptions) printAll(cmd *cobra.Command, results []*fleet.Result) error {
	switch {
	case o.Output != "json":
		return nil
	case len(results) == 1:
		return o.Print(cmd, results[0])
	}
	for _, r := range results {
		for _, warning := range r.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", textfmt.Visible(warning))
		}
	}
	return output.JSON(cmd.OutOrStdout(), results)
}
