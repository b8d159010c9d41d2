package listing

import (
	"fmt"
	"io"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Releases prints a row for each release, and below the table what needs attention.
func Releases(w io.Writer, releases []fleet.Release, source api.Source) error {
	if err := releaseTable(w, releases); err != nil {
		return err
	}
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
	fmt.Fprintf(w, "\nrelease %s of %s: %s\n", r.ID, textfmt.Visible(r.Revision), Progress(r))
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

// Release prints a release in full, with the decisions on it.
func Release(w io.Writer, r *fleet.Release) error {
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
