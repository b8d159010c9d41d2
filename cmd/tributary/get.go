package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/server/client"
)

// getOptions are what the commands below get share.
type getOptions struct {
	server serverFlags
	output string
}

func newGet() *cobra.Command {
	o := &getOptions{}
	cmd := &cobra.Command{
		Use:   "get",
		Short: "Show what a server has: clusters, objects, inputs, deltas, releases, pins, history, tokens",
		Long: `Shows what a server has, as a table or with -o as JSON or YAML.

` + serverHelp,
		Example: `  tributary get clusters --selector environment=prod
  tributary get deltas -o yaml > deltas.yaml
  tributary get history --cluster eu-prod-01 --since 24h

Exit status is 0, or 1 if there is no such thing or no answer.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("get: say what: clusters, objects, inputs, deltas, releases, pins, history or tokens; see tributary get --help")
			}
			return fmt.Errorf("get: there are no %q: say clusters, objects, inputs, deltas, releases, pins, history or tokens", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	o.server.bind(cmd)
	cmd.PersistentFlags().StringVarP(&o.output, "output", "o", "", "json or yaml, in place of a table for people")
	cmd.AddCommand(newGetClusters(o), newGetObjects(o), newGetInputs(o), newGetDeltas(o), newGetReleases(o), newGetPins(o), newGetHistory(o), newGetTokens(o))
	return cmd
}

// run asks the server, once it is known how to print what it says.
func (o *getOptions) run(cmd *cobra.Command, show func(ctx context.Context, c *client.Client, w io.Writer) error) error {
	switch o.output {
	case "", "json", "yaml":
	default:
		return fmt.Errorf("--output %q: must be json or yaml", o.output)
	}
	client, err := o.server.client()
	if err != nil {
		return err
	}
	return refused(show(cmd.Context(), client, cmd.OutOrStdout()))
}

// print prints v where people do not want a table.
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

// between wants that many arguments: the first few must be there.
func between(least int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return named(names[:max(least, min(len(args), len(names)))]...)(cmd, args)
	}
}
