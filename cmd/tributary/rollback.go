package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newRollback() *cobra.Command {
	o := &remote.WriteFlags{}
	var generation int64
	var cluster, delta string
	cmd := &cobra.Command{
		Use:   "rollback --to GENERATION",
		Short: "Restore deltas to their state at an earlier generation",
		Long: `Restores all deltas to their state at a generation, or only one delta. This is a new
change, which can be rolled back in turn. Deltas that have expired since then are not
restored. Releases, pins, registrations, and clusters that were decommissioned or
forgotten since then stay as they are: a warning names them, and if nothing is left to
be restored, the rollback is refused. Prints the inputs that change, as a diff. See
tributary get history for generations.`,
		Example: `  tributary rollback --to 41 --delta pin-keda --dry-run
  tributary rollback --to 41 --cluster eu-prod-01 --reason INC-4712
  tributary rollback --to 41

Exit status is 0, or 1 if nothing was changed.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("to") || generation < 1 {
				return errors.New("rollback: name a generation with --to, a number from 1; tributary get history lists them")
			}
			var args []string
			if delta != "" {
				args = []string{delta}
			}
			id, err := chosenDelta(args, cluster)
			if err != nil {
				return fmt.Errorf("rollback: %w", err)
			}
			return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
				return c.Rollback(ctx, options, generation, id)
			})
		},
	}
	o.Bind(cmd)
	f := cmd.Flags()
	f.Int64Var(&generation, "to", 0, "generation to restore")
	f.StringVar(&cluster, "cluster", "", "restore only the delta of this cluster")
	f.StringVar(&delta, "delta", "", "restore only the delta of this name")
	return cmd
}
