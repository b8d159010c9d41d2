package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newRecommission() *cobra.Command {
	o := &remote.WriteFlags{}
	cmd := &cobra.Command{
		Use:   "recommission CLUSTER",
		Short: "Bring a decommissioned cluster back as it was",
		Long: `Brings a decommissioned cluster back: with its deltas and pins, and on the release where
it should be by now. If nothing declares the cluster any more, it gets what it had, and
is orphaned. Its token is still valid. A cluster that is purged does not come back.
Requires an admin token.`,
		Example: `  tributary recommission eu-dev-01 --dry-run
  tributary recommission eu-dev-01 --reason 'it was the wrong one'

Exit status is 0, or 1 if nothing was changed.`,
		Args: named("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
				return c.Recommission(ctx, options, args[0])
			})
		},
	}
	o.Bind(cmd)
	return cmd
}
