package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/drain"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/result"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

type decommissionOptions struct {
	remote.WriteFlags
	wait    bool
	timeout time.Duration
	purge   bool
}

func newDecommission() *cobra.Command {
	o := &decommissionOptions{}
	cmd := &cobra.Command{
		Use:   "decommission CLUSTER",
		Short: "Remove everything from a cluster, and wait until its machine can be deleted",
		Long: `Decommissions a cluster: all of its input sets become empty, so that Flux deletes what
it created. Neither a file in the fleet repo nor a registration ends this: tributary
recommission brings the cluster back as it was, until it is purged.

On a terminal the command shows what will go, and asks for the name of the cluster.
Elsewhere it needs --confirm with that name. The command then waits until the cluster has polled every set that it ever polled,
and says that the machine can be deleted. The cluster's token is valid until the purge.

Run the command again to keep waiting. With --purge it forgets the cluster in the end, for
which the cluster's file must be gone from the fleet repo. Requires an admin token.`,
		Example: `  tributary decommission eu-dev-01 --dry-run
  tributary decommission eu-dev-01 --reason 'replaced by eu-dev-02'
  tributary decommission eu-dev-01 --confirm eu-dev-01 --purge --timeout 30m

Exit status is 0, or 1 if nothing was changed or the cluster did not poll in time. In the
latter case it stays decommissioned.`,
		Args: named("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error { return decommission(cmd, o, args[0]) },
	}
	o.BindName(cmd, "cluster")
	f := cmd.Flags()
	f.BoolVar(&o.wait, "wait", true, "wait until the cluster has polled its empty sets")
	f.Var(flags.Duration(&o.timeout, time.Hour), "timeout", "maximum time to wait")
	f.BoolVar(&o.purge, "purge", false, "forget the cluster after the wait")
	return cmd
}

func decommission(cmd *cobra.Command, o *decommissionOptions, name string) error {
	switch {
	case o.purge && !o.wait:
		return errors.New("decommission: --purge requires the wait; to forget the cluster without it, run tributary delete cluster afterwards")
	case o.timeout <= 0:
		return fmt.Errorf("decommission: --timeout %s: must be positive", o.timeout)
	}
	client, err := o.Client()
	if err != nil {
		return err
	}
	if err := o.begin(cmd, client, name); err != nil || o.DryRun || !o.wait {
		return remote.Error(err)
	}
	report := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "tributary: "+format+"\n", args...) }
	w := drain.Wait{Look: func(ctx context.Context) (api.Cluster, error) { return client.Cluster(ctx, name) }, Report: report, Timeout: o.timeout}
	polled, err := w.Do(cmd.Context())
	if err != nil {
		return remote.Error(err)
	}
	verdict := "it has polled its empty sets, and its machine can be deleted"
	if polled == 0 {
		verdict = "no server knows of a poll by it; make sure that it has nothing before you delete its machine"
	}
	if o.purge {
		return o.forget(cmd, client, name, verdict)
	}
	o.Say(cmd.OutOrStdout(), fmt.Sprintf("cluster %q: %s; forget the cluster with tributary delete cluster", name, verdict))
	return nil
}

// begin decommissions the cluster unless it is decommissioned already.
func (o *decommissionOptions) begin(cmd *cobra.Command, c *client.Client, name string) error {
	cluster, err := c.Cluster(cmd.Context(), name)
	if err != nil {
		return err
	}
	if cluster.State == fleet.ClusterDecommissioned {
		fmt.Fprintf(cmd.ErrOrStderr(), "tributary: cluster %q is already decommissioned\n", name)
		return nil
	}
	if !o.DryRun {
		if err := o.confirm(cmd, c, cluster.Name); err != nil {
			return err
		}
	}
	removed, err := c.Decommission(cmd.Context(), o.Options(), name, false)
	if err != nil {
		return err
	}
	return o.PrintWith(cmd, removed, result.PrintEmptied)
}

// confirm shows what a decommission would remove, and has it confirmed.
func (o *decommissionOptions) confirm(cmd *cobra.Command, c *client.Client, name string) error {
	options := o.Options()
	options.DryRun, options.Confirm = true, ""
	removed, err := c.Decommission(cmd.Context(), options, name, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "cluster %q would be decommissioned, and Flux would delete what these inputs made:\n", name)
	if err := result.PrintEmptied(cmd.ErrOrStderr(), removed); err != nil {
		return err
	}
	return o.ConfirmName(cmd, "cluster", name)
}

func (o *decommissionOptions) forget(cmd *cobra.Command, c *client.Client, name, verdict string) error {
	options := o.Options()
	options.Confirm = "" // It named the cluster to be decommissioned.
	result, err := c.Decommission(cmd.Context(), options, name, true)
	if err != nil {
		return fmt.Errorf("cluster %q is decommissioned but not purged: %w", name, remote.Error(err))
	}
	o.Say(cmd.OutOrStdout(), fmt.Sprintf("generation %d: cluster %q is purged; %s", result.Generation, name, verdict))
	return nil
}
