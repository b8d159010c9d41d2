package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
)

// verdicts are what can be decided, in the order in which it is asked for.
var verdicts = []struct {
	verdict     fleet.Verdict
	short, long string
	digest      bool
}{
	{fleet.Approve, "Have a held release go live", `Has a release go live that is held because it takes away more than the guard allows;
wave by wave, where fleet.yaml has waves. What is approved is its impact as get
releases shows it, or the one of --digest: where what is served has changed such that
it is another by now, that is told, and nothing is approved.`, true},
	{fleet.Reject, "Have a held release never go live", `Rejects a release that is held. The fleet stays as it is until the source has a newer
revision. While it has not, the release can be approved after all.`, true},
	{fleet.Pause, "Stop a rollout where it is", `Has a rollout reach no further wave until it is resumed. A newer release is held
meanwhile.`, false},
	{fleet.Resume, "Have a rollout go on, also past a gate", `Has a paused rollout go on, and one that waits at a manual gate pass it.`, false},
	{fleet.Skip, "Reach the next wave now", `Has a rollout reach the next wave, whatever it still waits for: polls, soak time or a
gate.`, false},
	{fleet.Abort, "Give all waves back what they had", `Ends a rollout: the clusters that it has reached get back what they had before. The
release is rejected.`, false},
}

func newRelease() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Decide on a held release, steer a rollout",
		Long: `Decides on a release that is held, or steers one that is being rolled out; see
tributary get releases. Takes an admin's token.

` + serverHelp,
		Example: `  tributary release approve 3f9c1b22a0d4 --reason 'the old ingress goes, as planned'
  tributary release pause 3f9c1b22a0d4

Exit status is 0, or 1 if nothing was decided.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("release: say what to decide: approve, reject, pause, resume, skip or abort; see tributary release --help")
			}
			return fmt.Errorf("release: %q is no decision: say approve, reject, pause, resume, skip or abort", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	for _, v := range verdicts {
		cmd.AddCommand(newVerdict(v.verdict, v.short, v.long, v.digest))
	}
	return cmd
}

type verdictOptions struct {
	server         serverFlags
	reason, digest string
	output         string
}

func newVerdict(verdict fleet.Verdict, short, long string, digest bool) *cobra.Command {
	o := &verdictOptions{}
	cmd := &cobra.Command{
		Use:   string(verdict) + " RELEASE",
		Short: short,
		Long:  long + "\n\nRELEASE is an ID or a revision. Takes an admin's token.\n\n" + serverHelp,
		Example: fmt.Sprintf(`  tributary release %s 3f9c1b22a0d4 --reason INC-4711

Exit status is 0, or 1 if nothing was decided.`, verdict),
		Args: named("RELEASE"),
		RunE: func(cmd *cobra.Command, args []string) error { return decide(cmd, verdict, args[0], o) },
	}
	o.server.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.reason, "reason", "", "why, for the history")
	f.StringVarP(&o.output, "output", "o", "text", "text or json")
	if digest {
		f.StringVar(&o.digest, "digest", "", "the impact that is meant, sha256:<64 hex> (default: the one that the release has)")
	}
	return cmd
}

func decide(cmd *cobra.Command, verdict fleet.Verdict, name string, o *verdictOptions) error {
	if o.output != "text" && o.output != "json" {
		return fmt.Errorf("--output %q: must be text or json", o.output)
	}
	client, err := o.server.client()
	if err != nil {
		return err
	}
	release, err := client.Decide(cmd.Context(), verdict, name, o.reason, o.digest)
	var beyond *fleet.GuardError
	if errors.As(err, &beyond) {
		return preview.GuardError(beyond, "the release would change something else by now, and nothing was decided", "--digest")
	}
	if err != nil {
		return refused(err)
	}
	if o.output == "json" {
		return output.JSON(cmd.OutOrStdout(), release)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "release %s of %s: %s\n", release.ID, release.Revision, progressText(release))
	return nil
}

// progressText is where a release has got to, in a few words.
func progressText(r *fleet.Release) string {
	if r.Rollout == nil {
		return string(r.State)
	}
	reached := 0
	for _, w := range r.Rollout.Waves {
		if w.Reached {
			reached++
		}
	}
	text := fmt.Sprintf("%s, %s; %d of %d waves have it", r.State, r.Rollout.Phase, reached, len(r.Rollout.Waves))
	if r.Rollout.Reason != "" {
		text += ": " + r.Rollout.Reason
	}
	return textfmt.Visible(text)
}
