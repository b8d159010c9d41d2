package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/exitcode"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/fleetstatus"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
)

func newStatus() *cobra.Command {
	var server remote.Flags
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the fleet at a glance, and whether it needs attention",
		Long: `Shows the live release, the rollout, a release that is held or has failed, and how many
clusters are failing, late, orphaned, behind or have never polled. The last line names what
needs attention:

not-ready  no release is live
source     the source cannot be read
held       a release waits for a decision
failed     the newest revision has a fault
paused     the rollout is paused
waiting    the rollout waits for somebody to resume it
failing    there are failing clusters
late       there are late clusters
orphaned   there are orphaned clusters
overdue    deltas or pins have expired and cannot be withdrawn

Clusters that are behind or have never polled do not need attention for that alone: they
may be pinned, wait for their wave, or be new. tributary get clusters --help says what
these words mean.`,
		Example: `  tributary status
  tributary status -o json | jq .attention

Exit status is 0 if nothing needs attention, 2 if something does, or 1 if the server does
not answer.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "" {
				if err := output.Check(format, "json", "yaml"); err != nil {
					return err
				}
			}
			client, err := server.Client()
			if err != nil {
				return err
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return remote.Error(err)
			}
			if format != "" {
				err = output.Format{Name: format}.Print(cmd.OutOrStdout(), status)
			} else {
				err = fleetstatus.Print(cmd.OutOrStdout(), status, time.Now())
			}
			if err == nil && len(status.Attention) > 0 {
				err = exitcode.Code(2)
			}
			return err
		},
	}
	server.Bind(cmd)
	cmd.Flags().StringVarP(&format, "output", "o", "", "json or yaml (default: text)")
	return cmd
}
