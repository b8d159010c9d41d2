package listing

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Releases describes releases.
var Releases = Kind[fleet.Release]{
	Noun: "release",
	Name: func(r fleet.Release) string { return "release/" + r.ID },
	Columns: []table.Column[fleet.Release]{
		{Title: "ID", Text: func(r fleet.Release) string { return r.ID }},
		{Title: "STATE", Text: releaseState, Style: func(r fleet.Release) terminal.Style { return stateStyle(string(r.State)) }},
		{Title: "AGE", WideTitle: "SINCE", Time: func(r fleet.Release) *time.Time { return &r.At }},
		{Title: "CLUSTERS", Text: func(r fleet.Release) string { return fmt.Sprint(r.Clusters) }},
		{Title: "REMOVED", Text: impactCount(func(i *fleet.Impact) int { return i.Removed + i.Moved })}, // a moved input is removed from one set and added to another
		{Title: "CHANGED", Text: impactCount(func(i *fleet.Impact) int { return i.Changed })},
		{Title: "ADDED", Text: impactCount(func(i *fleet.Impact) int { return i.Added + i.Moved })},
		{Title: "PROBLEMS", Text: func(r fleet.Release) string { return fmt.Sprint(len(r.Problems)) }, Style: func(r fleet.Release) terminal.Style { return alert(len(r.Problems.Faults())) }},
		{Title: "REVISION", Text: func(r fleet.Release) string { return textfmt.Revision(r.Revision) }, WideText: func(r fleet.Release) string { return r.Revision }},
		{Title: "AUTHOR", Wide: true, Text: func(r fleet.Release) string { return commitOf(r.Commit).Author }},
		{Title: "SUBJECT", Long: true, Text: func(r fleet.Release) string { return commitOf(r.Commit).Subject }},
		{Title: "LIVE UNTIL", Wide: true, Time: func(r fleet.Release) *time.Time { return &r.SupersededAt }},
		{Title: "PINS", Wide: true, Text: func(r fleet.Release) string { return textfmt.List(r.Pins, 3) }},
	},
}

// releaseState returns the state of a release as people see it: one that reaches the fleet wave by wave
// is not simply live.
func releaseState(r fleet.Release) string {
	state := string(r.State)
	if r.Rollout != nil {
		state = string(fleet.RollingOut)
	}
	if len(r.Pins) > 0 && r.State != fleet.Live {
		state += ", pinned"
	}
	return state
}

// commitOf returns a commit to read from, also where there is none.
func commitOf(c *fleet.Commit) *fleet.Commit { return cmp.Or(c, &fleet.Commit{}) }

// impactCount returns the text of a number of an impact; "" where there is no impact.
func impactCount(of func(*fleet.Impact) int) func(fleet.Release) string {
	return func(r fleet.Release) string {
		if r.Impact == nil {
			return ""
		}
		return fmt.Sprint(of(r.Impact))
	}
}

// OpenReleases prints what needs attention.
func OpenReleases(w io.Writer, releases []fleet.Release, source api.Source) error {
	newer := false
	for i := range releases {
		r := &releases[i]
		if newer && r.State == fleet.Failed {
			continue // only the newest failed revision needs to be fixed
		}
		newer = newer || r.State != fleet.Superseded
		if err := printOpen(w, r); err != nil {
			return err
		}
	}
	if source.Error != "" {
		fmt.Fprintf(w, "source %s: %s\n", textfmt.Visible(source.Name), textfmt.Visible(source.Error))
	}
	return nil
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
	fmt.Fprintf(w, "\nrelease %s of %s: %s\n", r.ID, textfmt.Visible(r.Revision), Progress(r))
	if about := preview.Commit(r.Commit); about != "" {
		fmt.Fprintln(w, about)
	}
	if len(r.Pins) > 0 {
		fmt.Fprintf(w, "pins: %s\n", textfmt.Visible(textfmt.List(r.Pins, 10)))
	}
	if r.Rollout != nil {
		if err := preview.PrintWaves(w, r.Rollout.Waves); err != nil {
			return err
		}
	}
	preview.PrintReasons(w, r.Violations, r.Failing)
	for _, p := range preview.OtherProblems(r.Problems, r.Failing).Group() {
		fmt.Fprintf(w, "%s: %s\n", r.State, textfmt.Visible(p.String()))
	}
	if impact && r.Impact != nil {
		fmt.Fprintln(w, preview.Scale(r.Impact))
		preview.PrintImpact(w, r.Impact)
	}
	switch {
	case r.State != fleet.Held:
	case fleet.NeedFix(r.Violations):
		fmt.Fprintln(w, "fix the commit; the next revision without these faults replaces this release")
	default:
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

// ReleaseDetails prints a release in full, with the decisions on it.
func ReleaseDetails(w io.Writer, r *fleet.Release) error {
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

// Progress describes the state of a release and its rollout.
func Progress(r *fleet.Release) string {
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
