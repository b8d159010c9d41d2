package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetReleases(o *getOptions) *cobra.Command {
	var q fleet.ReleaseQuery
	var state string
	cmd := &cobra.Command{
		Use:   "releases [ID]",
		Short: "Show the releases and what needs attention, or one release in full",
		Long: `Shows the releases, newest first, with the number of inputs that each one removed,
changed and added, and whether the source can be read. Below the table it shows what
needs attention: what a held release would remove, how far a rollout is, the clusters
for which a release is invalid, and other problems. For one release, given by ID or
revision, it shows everything, including the decisions on it.

` + serverHelp,
		Example: `  tributary get releases
  tributary get releases --state held -o json
  tributary get releases 3f9c1b22a0d4

Exit status is 0, or 1 if the release does not exist or the server does not answer.`,
		Args: between(0, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.State = fleet.ReleaseState(state)
			switch {
			case q.Limit < 0:
				return errors.New("--limit: must not be negative")
			case len(args) > 0 && state != "":
				return errors.New("get releases: use an ID or --state, not both")
			}
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				if len(args) > 0 {
					return getRelease(ctx, c, w, args[0], o)
				}
				return getReleases(ctx, c, w, q, o)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only releases in this state: live, held, failed, superseded or rejected")
	cmd.Flags().IntVar(&q.Limit, "limit", 20, "maximum number of releases; 0 for all")
	return cmd
}

func getReleases(ctx context.Context, c *client.Client, w io.Writer, q fleet.ReleaseQuery, o *getOptions) error {
	releases, err := c.Releases(ctx, q)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, releases)
	}
	if err := releaseTable(w, releases.Items); err != nil {
		return err
	}
	newer := false
	for i := range releases.Items {
		r := &releases.Items[i]
		if newer && r.State == fleet.Failed {
			continue // only the newest failed revision needs to be fixed
		}
		newer = newer || r.State != fleet.Superseded
		if err := printOpen(w, r); err != nil {
			return err
		}
	}
	if releases.Source.Error != "" {
		fmt.Fprintf(w, "source %s: %s\n", textfmt.Visible(releases.Source.Name), textfmt.Visible(releases.Source.Error))
	}
	return nil
}

func releaseTable(w io.Writer, releases []fleet.Release) error {
	t := table.New(w, "ID", "STATE", "AT", "CLUSTERS", "REMOVED", "CHANGED", "ADDED", "PROBLEMS", "REVISION")
	for _, r := range releases {
		removed, changed, added := "", "", ""
		if i := r.Impact; i != nil { // a moved input is removed from one set and added to another
			removed, changed, added = fmt.Sprint(i.Removed+i.Moved), fmt.Sprint(i.Changed), fmt.Sprint(i.Added+i.Moved)
		}
		t.Row(r.ID, string(r.State), textfmt.Time(r.At), fmt.Sprint(r.Clusters), removed, changed, added, fmt.Sprint(len(r.Problems)), r.Revision)
	}
	return t.Flush()
}

// printOpen prints what needs attention in a release.
func printOpen(w io.Writer, r *fleet.Release) error {
	open := r.State == fleet.Live || r.State == fleet.Held || r.State == fleet.Failed
	if !open || r.State != fleet.Held && r.Rollout == nil && len(r.Failing)+len(r.Problems) == 0 {
		return nil
	}
	return printRelease(w, r, r.State == fleet.Held)
}

// printRelease prints a release, and also its impact if impact is set.
func printRelease(w io.Writer, r *fleet.Release, impact bool) error {
	fmt.Fprintf(w, "\nrelease %s of %s: %s\n", r.ID, textfmt.Visible(r.Revision), progressText(r))
	if r.Rollout != nil {
		if err := preview.PrintWaves(w, r.Rollout.Waves); err != nil {
			return err
		}
	}
	preview.PrintReasons(w, r.Violations, r.Failing)
	for _, p := range preview.OtherProblems(r.Problems, r.Failing) {
		fmt.Fprintf(w, "%s: %s\n", r.State, textfmt.Visible(p.String()))
	}
	if impact && r.Impact != nil {
		fmt.Fprintln(w, preview.Scale(r.Impact))
		preview.PrintImpact(w, r.Impact)
	}
	if r.State == fleet.Held {
		fmt.Fprintf(w, "if this is intended: tributary release approve %s%s\n", r.ID, digestFlag(r.Impact))
	}
	return nil
}

// digestFlag returns the flag that approves only the impact that was shown.
func digestFlag(i *fleet.Impact) string {
	if i == nil {
		return ""
	}
	return " --digest " + i.Digest
}

func getRelease(ctx context.Context, c *client.Client, w io.Writer, name string, o *getOptions) error {
	r, err := c.Release(ctx, name)
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.print(w, r)
	}
	if err := releaseTable(w, []fleet.Release{*r}); err != nil {
		return err
	}
	if err := printRelease(w, r, true); err != nil {
		return err
	}
	for _, d := range r.Decisions {
		fmt.Fprintf(w, "%s: %s by %s", textfmt.Time(d.At), d.Verdict, textfmt.Visible(d.Actor))
		if d.Reason != "" {
			fmt.Fprintf(w, ": %s", textfmt.Visible(d.Reason))
		}
		fmt.Fprintf(w, " (generation %d)\n", d.Generation)
	}
	return nil
}
