package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/server/client"
)

// getOptions are shared by the subcommands of get.
type getOptions struct {
	server remote.Flags
	output string
}

func newGet() *cobra.Command {
	o := &getOptions{}
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Show clusters, objects, inputs, deltas, releases, pins, history or tokens",
		Long: `Shows what a server has, as a table, or with -o as JSON or YAML.

` + remote.Help,
		Example: `  tributary get clusters --selector environment=prod
  tributary get deltas -o yaml > deltas.yaml
  tributary get history --cluster eu-prod-01 --since 24h

Exit status is 0, or 1 if it does not exist or the server does not answer.`,
	}
	o.server.Bind(cmd)
	cmd.PersistentFlags().StringVarP(&o.output, "output", "o", "", "json or yaml (default: a table)")
	return withSubcommands(cmd, "resource", newGetClusters(o), newGetObjects(o), newGetInputs(o), newGetDeltas(o), newGetReleases(o), newGetPins(o), newGetHistory(o), newGetTokens(o))
}

// run checks the flags and calls show with a client for the server.
func (o *getOptions) run(cmd *cobra.Command, show func(ctx context.Context, c *client.Client, w io.Writer) error) error {
	if o.output != "" {
		if err := output.Check(o.output, "json", "yaml"); err != nil {
			return err
		}
	}
	client, err := o.server.Client()
	if err != nil {
		return err
	}
	return remote.Error(show(cmd.Context(), client, cmd.OutOrStdout()))
}

// print prints v in the format of --output.
func (o *getOptions) print(w io.Writer, v any) error {
	if o.output == "json" {
		return output.JSON(w, v)
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// between accepts up to one argument for each name and requires the first few.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return named(names[:max(least, min(len(args), len(names)))]...)(cmd, args)
	}
}
