package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/fleet"
)

// verdicts lists the subcommands in the order of the help text.
var verdicts = []struct {
	verdict     fleet.Verdict
	short, long string
	digest      bool
}{
	{fleet.Approve, "Let a held release go live", `Lets a release go live that is held because it does more than the guard allows; wave
by wave, if fleet.yaml has waves. The approval is for the impact that get releases shows,
or that of --digest. If the impact has changed since, nothing is approved, and the
command prints the new impact.`, true},
	{fleet.Reject, "Reject a held release", `Rejects a held release. The fleet stays as it is until the source has a newer revision.
Until then the release can still be approved.`, true},
	{fleet.Pause, "Pause a rollout", `Stops a rollout before its next wave until it is resumed. A newer release is held in the
meantime.`, false},
	{fleet.Resume, "Resume a paused rollout, or pass a gate", `Resumes a paused rollout, or lets one that waits at a manual gate pass it.`, false},
	{fleet.Skip, "Start the next wave now", `Starts the next wave of a rollout without waiting for polls, the soak time or a gate.`, false},
	{fleet.Abort, "Abort a rollout and undo its waves", `Ends a rollout. The clusters that it has reached go back to what they had before, and the
release is rejected. If going back removes more than the guard allows, nothing is decided,
and the command prints what would be removed and the --digest that confirms it.`, true},
}

func newRelease() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Decide on a held release or control a rollout",
		Long: `Decides on a held release, or controls one that is rolling out; see tributary get
releases. Requires an admin token.`,
		Example: `  tributary release approve 3f9c1b22a0d4 --reason 'the old ingress goes, as planned'
  tributary release pause 3f9c1b22a0d4

Exit status is 0, or 1 if nothing was decided.`,
	}
	var commands []*cobra.Command
	for _, v := range verdicts {
		commands = append(commands, newVerdict(v.verdict, v.short, v.long, v.digest))
	}
	return withSubcommands(cmd, "decision", commands...)
}

type verdictOptions struct {
	server         remote.Flags
	reason, digest string
	output         string
}

func newVerdict(verdict fleet.Verdict, short, long string, digest bool) *cobra.Command {
	o := &verdictOptions{}
	cmd := &cobra.Command{
		Use:   string(verdict) + " RELEASE",
		Short: short,
		Long:  long + "\n\nRELEASE is an ID or a revision. Requires an admin token.",
		Example: fmt.Sprintf(`  tributary release %s 3f9c1b22a0d4 --reason INC-4711

Exit status is 0, or 1 if nothing was decided.`, verdict),
		Args: named("RELEASE"),
		RunE: func(cmd *cobra.Command, args []string) error { return decide(cmd, verdict, args[0], o) },
	}
	o.server.Bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.reason, "reason", "", "reason, recorded in the history")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	if digest {
		f.StringVar(&o.digest, "digest", "", "impact that the decision is about, sha256:<64 hex> (default: the current one of the release)")
	}
	return cmd
}

func decide(cmd *cobra.Command, verdict fleet.Verdict, name string, o *verdictOptions) error {
	if err := output.Check(o.output, "text", "json"); err != nil {
		return err
	}
	client, err := o.server.Client()
	if err != nil {
		return err
	}
	release, err := client.Decide(cmd.Context(), verdict, name, o.reason, o.digest)
	var guardErr *fleet.GuardError
	if errors.As(err, &guardErr) {
		why := "the impact of the release has changed, and nothing was decided"
		if verdict == fleet.Abort {
			why = "to go back does more than the guard allows, and nothing was decided"
		}
		return preview.GuardError(guardErr, why, "--digest")
	}
	if err != nil {
		return remote.Error(err)
	}
	if o.output == "json" {
		return output.JSON(cmd.OutOrStdout(), release)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "release %s of %s: %s\n", release.ID, release.Revision, listing.Progress(release))
	return nil
}
