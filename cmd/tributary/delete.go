package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newDelete() *cobra.Command {
	o := &remote.WriteFlags{}
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Delete a delta, an object of a cluster, or a decommissioned cluster",
		Long: `Deletes a delta, so that its clusters get what the fleet repo and other deltas say;
removes an object from one cluster; or forgets a decommissioned cluster.`,
		Example: `  tributary delete delta pin-keda
  tributary delete delta --cluster eu-prod-01
  tributary delete object eu-prod-01 PlatformComponent/podinfo --dry-run
  tributary delete cluster eu-dev-01

Exit status is 0, or 1 if nothing was changed.`,
	}
	o.Bind(cmd)
	return withSubcommands(cmd, "resource", newDeleteDelta(o), newDeleteObject(o), newDeleteCluster(o))
}

func newDeleteDelta(o *remote.WriteFlags) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use:   "delta NAME, or delta --cluster CLUSTER",
		Short: "Delete a named delta, or that of a cluster",
		Long: `Deletes a delta and prints the inputs that change, as a diff. The history keeps the
delta, and rollback restores it.`,
		Example: `  tributary delete delta pin-keda --reason 'KEDA 2.15.1 is out'
  tributary delete delta --cluster eu-prod-01 --dry-run

Exit status is 0, or 1 if nothing was changed.`,
		Args: atMost("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chosenDelta(args, cluster)
			if err != nil {
				return fmt.Errorf("delete delta: %w", err)
			}
			if id == "" {
				return errors.New("delete delta: name a delta, or a cluster with --cluster")
			}
			return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
				return c.DeleteDelta(ctx, options, id)
			})
		},
	}
	cmd.Flags().StringVar(&cluster, "cluster", "", "delete the delta of this cluster")
	return cmd
}

func newDeleteObject(o *remote.WriteFlags) *cobra.Command {
	var narrow flags.Object
	cmd := &cobra.Command{
		Use:   "object CLUSTER KIND/NAME",
		Short: "Remove an object from one cluster",
		Long: `Removes an object from one cluster and prints the inputs that are removed with it. If
the cluster's delta added the object, the addition is undone. Otherwise the delta records
that the cluster must not have the object.`,
		Example: `  tributary delete object eu-prod-01 PlatformComponent/podinfo --reason 'moved to eu-prod-02'

Exit status is 0, or 1 if nothing was changed.`,
		Args: named("CLUSTER", "KIND/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := narrow.Name(args[1])
			if err != nil {
				return err
			}
			return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
				return c.DeleteObject(ctx, options, args[0], name)
			})
		},
	}
	narrow.Bind(cmd.Flags())
	return cmd
}

func newDeleteCluster(o *remote.WriteFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "cluster NAME",
		Short: "Forget a decommissioned cluster",
		Long: `Purges a cluster: forgets it and revokes its token. The cluster must be decommissioned
(see tributary decommission), and its file must be gone from the fleet repo. After that
the name is free, and polls for it are answered with 404, on which Flux keeps what it
has. Requires an admin token.`,
		Example: `  tributary delete cluster eu-dev-01 --reason 'machine is gone'

Exit status is 0, or 1 if nothing was changed.`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.Write(cmd, func(ctx context.Context, c *client.Client, options client.WriteOptions) (*fleet.Result, error) {
				return c.Decommission(ctx, options, args[0], true)
			})
		},
	}
}

// chosenDelta returns the ID of the delta that a command line names; "" for none.
func chosenDelta(args []string, cluster string) (string, error) {
	switch {
	case len(args) > 0 && cluster != "":
		return "", errors.New("use a name or --cluster, not both")
	case len(args) > 0:
		return fleet.DeltaID(args[0]), nil
	case cluster != "":
		return fleet.OwnID(cluster), nil
	}
	return "", nil
}
