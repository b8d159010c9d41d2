package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/fleet"
)

func newDelete() *cobra.Command {
	o := &writeFlags{}
	cmd := &cobra.Command{
		Use:   "delete",
		Short: "Drop a delta, take an object away from a cluster, forget a cluster",
		Long: `Drops a delta, so that its clusters get what the fleet repo and other deltas say; takes
an object away from one cluster; or forgets a cluster that was decommissioned.

` + serverHelp,
		Example: `  tributary delete delta pin-keda
  tributary delete delta --cluster eu-prod-01
  tributary delete object eu-prod-01 Namespace/sandbox --dry-run
  tributary delete cluster eu-dev-01

Exit status is 0, or 1 if nothing was changed.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("delete: say what: delta, object or cluster; see tributary delete --help")
			}
			return fmt.Errorf("delete: %q cannot be deleted: say delta, object or cluster", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	o.bind(cmd)
	cmd.AddCommand(newDeleteDelta(o), newDeleteObject(o), newDeleteCluster(o))
	return cmd
}

func newDeleteDelta(o *writeFlags) *cobra.Command {
	var cluster string
	cmd := &cobra.Command{
		Use:   "delta NAME, or delta --cluster CLUSTER",
		Short: "Drop a named delta, or a cluster's own",
		Long: `Drops a delta, and prints the inputs that change with it, as a diff. The history
keeps it, and rollback brings it back.

` + serverHelp,
		Example: `  tributary delete delta pin-keda --reason 'KEDA 2.15.1 is out'
  tributary delete delta --cluster eu-prod-01 --dry-run

Exit status is 0, or 1 if nothing was changed.`,
		Args: between(0, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := chosenDelta(args, cluster)
			if err != nil {
				return fmt.Errorf("delete delta: %w", err)
			}
			if id == "" {
				return errors.New("delete delta: name a delta, or a cluster with --cluster")
			}
			client, err := o.client()
			if err != nil {
				return err
			}
			result, err := client.DeleteDelta(cmd.Context(), o.options(), id)
			if err != nil {
				return refused(err)
			}
			return o.printResult(cmd, result)
		},
	}
	cmd.Flags().StringVar(&cluster, "cluster", "", "the own delta of this cluster")
	return cmd
}

func newDeleteObject(o *writeFlags) *cobra.Command {
	var narrow objectFlags
	cmd := &cobra.Command{
		Use:   "object CLUSTER KIND/NAME",
		Short: "Take an object away from one cluster",
		Long: `Takes an object away from one cluster, and prints the inputs that go with it. Where
the cluster's own delta had added the object, that is undone; else the delta
remembers that it must not be there.

` + serverHelp,
		Example: `  tributary delete object eu-prod-01 Namespace/sandbox --reason 'moved to eu-prod-02'

Exit status is 0, or 1 if nothing was changed.`,
		Args: named("CLUSTER", "KIND/NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := narrow.name(args[1])
			if err != nil {
				return err
			}
			client, err := o.client()
			if err != nil {
				return err
			}
			var result *fleet.Result
			if result, err = client.DeleteObject(cmd.Context(), o.options(), args[0], name); err != nil {
				return refused(err)
			}
			return o.printResult(cmd, result)
		},
	}
	narrow.bind(cmd.Flags())
	return cmd
}

func newDeleteCluster(o *writeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "cluster NAME",
		Short: "Forget a cluster that was decommissioned",
		Long: `Purges a cluster: forgets it, and revokes its token. It must be decommissioned (see
tributary decommission), and its file must be gone from the fleet repo: from then on
the name is free, and polls for it are answered 404, on which Flux keeps what it has.
Takes an admin's token.

` + serverHelp,
		Example: `  tributary delete cluster eu-dev-01 --reason 'machine is gone'

Exit status is 0, or 1 if nothing was changed.`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := o.client()
			if err != nil {
				return err
			}
			result, err := client.Decommission(cmd.Context(), o.options(), args[0], true)
			if err != nil {
				return refused(err)
			}
			return o.printResult(cmd, result)
		},
	}
}
