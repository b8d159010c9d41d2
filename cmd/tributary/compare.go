package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/compare"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/exitcode"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
)

func newCompare() *cobra.Command {
	var server remote.Flags
	var format string
	var summary bool
	cmd := &cobra.Command{
		Use:   "compare CLUSTER CLUSTER",
		Short: "Show how the inputs of two clusters differ",
		Long: `Shows how the second cluster differs from the first, as a diff: in its labels, overlay,
components and release, and in the inputs that its Flux gets. The field of an input that
says whose it is does not count.`,
		Example: `  tributary compare eu-prod-01 us-prod-01
  tributary compare eu-prod-01 us-prod-01 --summary

Exit status is 0 if the clusters are the same, 1 if they differ, and 4 if the comparison
failed.`,
		Annotations: exitcode.OnFailure(failed),
		Args:        named("CLUSTER", "second CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := output.Check(format, "text", "json", "yaml"); err != nil {
				return err
			}
			c, err := server.Client()
			if err != nil {
				return err
			}
			differences, err := compare.Clusters(cmd.Context(), c, args[0], args[1])
			if err != nil {
				return remote.Error(err)
			}
			err = terminal.Page(cmd.OutOrStdout(), func(w io.Writer) error {
				switch {
				case format != "text":
					return output.Format{Name: format}.Print(w, differences)
				case len(differences) == 0:
					fmt.Fprintln(w, "no difference")
				case summary:
					compare.PrintSummary(w, differences)
				default:
					compare.Print(w, differences)
				}
				return nil
			})
			if err == nil && len(differences) > 0 {
				err = exitcode.Code(changes)
			}
			return err
		},
	}
	server.Bind(cmd)
	cmd.Flags().BoolVar(&summary, "summary", false, "only name what differs")
	cmd.Flags().StringVarP(&format, "output", "o", "text", "text, json or yaml")
	return cmd
}
