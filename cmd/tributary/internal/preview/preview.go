// Package preview prints what a revision changes, or would change: for people on a
// terminal, or as a comment on a pull request.
//
//	p, err := client.PreviewSnapshot(ctx, revision, tree)
//	preview.Print(os.Stdout, p, false)
//	preview.PrintMarkdown(os.Stdout, p)
//
// What is removed comes first. The text form names every changed input; the comment is
// cut to the length that GitHub accepts.
package preview

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
)

// headline describes the outcome.
func headline(p *fleet.Preview) string {
	switch {
	case p.Outcome == fleet.OutcomeFailed:
		return "would fail, and the fleet would stay as it is"
	case p.Outcome == fleet.OutcomeHeld && fleet.NeedFix(p.Violations):
		return "would be held until the commit is fixed"
	case p.Outcome == fleet.OutcomeHeld:
		return "would be held until somebody approves it"
	case p.Outcome == fleet.OutcomeChanges && len(p.Failing) > 0:
		return "would go live, but not for " + textfmt.Count(len(p.Failing), "cluster")
	case p.Outcome == fleet.OutcomeChanges:
		return "would go live"
	case len(p.Failing) > 0:
		return "would change nothing, and fail for " + textfmt.Count(len(p.Failing), "cluster")
	}
	return "would change nothing"
}

// Commit describes a commit on one line: its subject, author and date, and where it can be looked at. It
// is empty where the source says nothing.
func Commit(c *fleet.Commit) string {
	if c == nil {
		return ""
	}
	var parts []string
	if c.Subject != "" {
		parts = append(parts, strconv.Quote(c.Subject))
	}
	if c.Author != "" {
		parts = append(parts, "by "+c.Author)
	}
	if !c.At.IsZero() {
		parts = append(parts, "of "+textfmt.Time(c.At))
	}
	if c.URL != "" {
		parts = append(parts, c.URL)
	}
	if parts == nil {
		return ""
	}
	return textfmt.Visible("commit: " + strings.Join(parts, " "))
}

// Print prints a preview for a terminal; as a summary without the single changes.
func Print(w io.Writer, p *fleet.Preview, summary bool) error {
	fmt.Fprintf(w, "%s %s\n", textfmt.Visible(p.Revision), headline(p))
	if about := Commit(p.Commit); about != "" {
		fmt.Fprintln(w, about)
	}
	for _, problem := range OtherProblems(p.Problems, p.Failing).Group() {
		fmt.Fprintln(w, severity(problem.Problem)+textfmt.Visible(problem.String()))
	}
	PrintReasons(w, p.Violations, p.Failing)
	if !p.Impact.IsEmpty() {
		fmt.Fprintln(w, Scale(p.Impact))
		if !summary {
			PrintImpact(w, p.Impact)
		}
		fmt.Fprintln(w, approval(p))
	}
	if len(p.Waves) > 0 {
		return PrintWaves(w, p.Waves)
	}
	return nil
}

// approval prints the digest of the impact, for an approval before the release is there.
func approval(p *fleet.Preview) string {
	if p.Outcome == fleet.OutcomeHeld && !fleet.NeedFix(p.Violations) {
		return fmt.Sprintf("to approve this impact in the commit itself, where spec.guard.approveByTrailer allows it: %s: %s", fleet.ApproveTrailer, p.Impact.Digest)
	}
	return "impact: " + p.Impact.Digest
}

func severity(p fleet.Problem) string {
	if p.Warning {
		return "warning: "
	}
	return "fault: "
}

var waveColumns = []table.Column[fleet.WaveStatus]{
	{Title: "WAVE", Text: func(w fleet.WaveStatus) string { return w.Name }},
	{Title: "REACHED", Text: func(w fleet.WaveStatus) string { return choose(w.Reached, "yes", "no") }},
	{Title: "CLUSTERS", Text: func(w fleet.WaveStatus) string { return fmt.Sprint(w.Clusters) }},
	{Title: "POLLED", Text: func(w fleet.WaveStatus) string { return fmt.Sprint(w.Polled) }},
	{Title: "SOAK", Text: func(w fleet.WaveStatus) string { return w.Soak }},
	{Title: "GATE", Text: func(w fleet.WaveStatus) string { return choose(w.Manual, "manual", "") }},
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

// PrintWaves prints the waves of a rollout as a table.
func PrintWaves(w io.Writer, waves []fleet.WaveStatus) error {
	return table.New(w, waveColumns, table.Options{}).Print(waves...)
}
