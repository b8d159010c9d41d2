package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/drain"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/result"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

type decommissionOptions struct {
	writeFlags
	wait    bool
	timeout time.Duration
	purge   bool
}

func newDecommission() *cobra.Command {
	o := &decommissionOptions{}
	cmd := &cobra.Command{
		Use:   "decommission CLUSTER",
		Short: "Take everything away from a cluster, and say when its machine may go",
		Long: `Decommissions a cluster: from now on every one of its input sets is empty, so that Flux
deletes what it made. Nothing brings the cluster back but a purge: not its file in the
fleet repo, not a registration. Then waits until the cluster has polled each set that
it ever polled, and says that the machine may go. Its token is valid until the purge.

Run again, it goes on waiting. With --purge it forgets the cluster in the end, which
its file must be gone from the fleet repo for. Takes an admin's token.

` + serverHelp,
		Example: `  tributary decommission eu-dev-01 --dry-run
  tributary decommission eu-dev-01 --reason 'replaced by eu-dev-02'
  tributary decommission eu-dev-01 --purge --timeout 30m

Exit status is 0, or 1 if nothing was changed or the cluster did not poll in time; it
stays decommissioned then.`,
		Args: named("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error { return decommission(cmd, o, args[0]) },
	}
	o.bind(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.wait, "wait", true, "wait until the cluster has polled its empty sets")
	f.DurationVar(&o.timeout, "timeout", time.Hour, "how long to wait at most")
	f.BoolVar(&o.purge, "purge", false, "forget the cluster after that")
	return cmd
}

func decommission(cmd *cobra.Command, o *decommissionOptions, name string) error {
	switch {
	case o.purge && !o.wait:
		return errors.New("decommission: --purge comes after the wait; to forget a cluster at once, use tributary delete cluster after this")
	case o.timeout <= 0:
		return fmt.Errorf("decommission: --timeout %s: must be longer than nothing", o.timeout)
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	if err := o.begin(cmd, client, name); err != nil || o.dryRun || !o.wait {
		return refused(err)
	}
	tell := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "tributary: "+format+"\n", args...) }
	w := drain.Wait{Look: func(ctx context.Context) (api.Cluster, error) { return client.Cluster(ctx, name) }, Report: tell, Timeout: o.timeout}
	polled, err := w.Do(cmd.Context())
	if err != nil {
		return refused(err)
	}
	verdict := "it has polled its empty sets, and it is safe to delete the machine"
	if polled == 0 {
		verdict = "it has never polled, as far as any server could tell; see that it has nothing before you delete the machine"
	}
	if o.purge {
		return o.forget(cmd, client, name, verdict)
	}
	o.say(cmd.OutOrStdout(), fmt.Sprintf("cluster %q: %s; tributary delete cluster forgets the cluster", name, verdict))
	return nil
}

// begin decommissions the cluster, unless that was done before.
func (o *decommissionOptions) begin(cmd *cobra.Command, c *client.Client, name string) error {
	cluster, err := c.Cluster(cmd.Context(), name)
	if err != nil {
		return err
	}
	if cluster.State == fleet.DecommissionedState {
		fmt.Fprintf(cmd.ErrOrStderr(), "tributary: cluster %q is decommissioned already\n", name)
		return nil
	}
	result, err := c.Decommission(cmd.Context(), o.options(), name, false)
	if err != nil {
		return err
	}
	return o.printEmptied(cmd, result)
}

// printEmptied prints how many inputs go from each set: all do, so a diff of them
// would tell no more.
func (o *decommissionOptions) printEmptied(cmd *cobra.Command, r *fleet.Result) error {
	if o.output == "json" {
		return o.printResult(cmd, r)
	}
	gone := map[string]int{}
	var sets []string
	for _, c := range r.Changes {
		if gone[c.Set]++; gone[c.Set] == 1 {
			sets = append(sets, c.Set)
		}
	}
	for _, set := range sets {
		o.say(cmd.OutOrStdout(), fmt.Sprintf("%s: all %s", set, textfmt.Count(gone[set], "input")))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", textfmt.Visible(warning))
	}
	o.say(cmd.OutOrStdout(), result.Outcome(r))
	return nil
}

func (o *decommissionOptions) forget(cmd *cobra.Command, c *client.Client, name, verdict string) error {
	result, err := c.Decommission(cmd.Context(), o.options(), name, true)
	if err != nil {
		return fmt.Errorf("cluster %q stays decommissioned, but is not purged: %w", name, refused(err))
	}
	o.say(cmd.OutOrStdout(), fmt.Sprintf("generation %d: cluster %q is purged; %s", result.Generation, name, verdict))
	return nil
}
