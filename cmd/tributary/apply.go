package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/fleet"
)

type applyOptions struct {
	writeFlags
	file string
}

func newApply() *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Put deltas as documents",
		Long: `Puts each document of a file in the place of the delta that it names: a named one
(name), or a cluster's own (cluster). It is what get deltas -o yaml prints. The
documents go to the server one by one, in the order of the file; the first one that is
refused ends it, and those before it are kept. Prints the inputs that change, as a
diff.

` + serverHelp,
		Example: `  tributary apply -f pin-keda.yaml --dry-run
  tributary apply -f pin-keda.yaml --reason INC-4711
  tributary get deltas -o yaml | tributary apply -f - --server https://standby.example.com

Exit status is 0, or 1 if not all were put.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return apply(cmd.Context(), cmd, o) },
	}
	o.bind(cmd)
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", "file with deltas, - for standard input")
	return cmd
}

func apply(ctx context.Context, cmd *cobra.Command, o *applyOptions) error {
	if o.file == "" {
		return fmt.Errorf("apply: name a file with -f; see tributary apply --help")
	}
	data, err := readFile(o.file, cmd.InOrStdin())
	if err != nil {
		return err
	}
	deltas, err := splitDeltas(o.file, data)
	if err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	results := make([]*fleet.Result, 0, len(deltas))
	for i, d := range deltas {
		result, err := client.PutDelta(ctx, o.options(), d.id, d.text)
		if err != nil {
			err = fmt.Errorf("%s:%d: %s: %w", o.file, d.line, d.id, refused(err))
			if i > 0 && !o.dryRun {
				err = fmt.Errorf("%w\nwhat stands before it in the file is kept", err)
			}
			return err
		}
		if len(deltas) > 1 {
			o.say(cmd.OutOrStdout(), d.id)
		}
		if o.output == "text" {
			if err := o.printResult(cmd, result); err != nil {
				return err
			}
		}
		results = append(results, result)
	}
	return o.printAll(cmd, results)
}

// printAll prints what came of a file's documents as JSON: of one as a write by
// itself, of several as a list.
func (o *applyOptions) printAll(cmd *cobra.Command, results []*fleet.Result) error {
	switch {
	case o.output != "json":
		return nil
	case len(results) == 1:
		return o.printResult(cmd, results[0])
	}
	for _, r := range results {
		for _, warning := range r.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", visible(warning))
		}
	}
	return printJSON(cmd.OutOrStdout(), results)
}
