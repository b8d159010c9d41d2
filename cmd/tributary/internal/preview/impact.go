package preview

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textdiff"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
)

// Scale summarizes an impact in one line.
func Scale(i *fleet.Impact) string {
	if i.IsEmpty() {
		return "nothing changes"
	}
	var all []string
	for _, part := range []struct {
		n      int
		effect string
	}{{i.Removed, "removed"}, {i.Moved, "moved"}, {i.Changed, "changed"}, {i.Added, "added"}} {
		if part.n == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", part.n, part.effect)
		if part.effect == "changed" {
			text += fmt.Sprintf(" (%s)", textfmt.Count(i.Fields, "field"))
		}
		all = append(all, text)
	}
	if all == nil {
		all = []string{"none"}
	}
	text := fmt.Sprintf("inputs: %s; clusters: %d", strings.Join(all, ", "), i.Clusters)
	for _, part := range []struct {
		name string
		n    int
	}{{"new", len(i.New)}, {"orphaned", len(i.Orphaned)}, {"names of other clusters", len(i.Reowned)}, {"lists", len(i.Lists)}} {
		if part.n > 0 {
			text += fmt.Sprintf("; %s: %d", part.name, part.n)
		}
	}
	return text
}

// effectLine is a line about one effect. Its mark is - for what is removed, + for what
// is added, ~ for what changes, and a space for details.
type effectLine struct {
	mark byte
	text string
}

// effectLines describes the effects on a group of clusters, removals first.
func effectLines(g fleet.ImpactGroup) (all []effectLine) {
	for _, set := range g.Vanished {
		all = append(all, effectLine{'-', "set " + set + " is removed"})
	}
	for _, set := range g.Emptied {
		all = append(all, effectLine{'-', "set " + set + " becomes empty"})
	}
	for _, part := range g.StaleParts {
		all = append(all, effectLine{'-', part + " no longer applies"})
	}
	for _, effect := range []fleet.Effect{fleet.Removed, fleet.Moved, fleet.Changed, fleet.Added} {
		for _, c := range g.Changes {
			if c.Effect == effect {
				all = append(all, inputLines(c)...)
			}
		}
	}
	for i := range all {
		all[i].text = textfmt.Visible(all[i].text)
	}
	return all
}

func inputLines(c fleet.InputEffect) []effectLine {
	name := c.Set + "/" + c.ID
	switch c.Effect {
	case fleet.Removed:
		return []effectLine{{'-', name}}
	case fleet.Added:
		return []effectLine{{'+', name}}
	case fleet.Moved: // the ResourceSets of the two sets poll independently
		return []effectLine{{'-', name + " moves to " + c.To + ": it is deleted in one set and created in the other"}}
	}
	all := []effectLine{{'~', name}}
	for _, f := range c.Fields {
		text := "  " + f.Path
		if f.Before != nil || f.After != nil {
			text += ": " + valueText(f.Before) + " → " + valueText(f.After)
		}
		all = append(all, effectLine{' ', text})
	}
	return all
}

// maxValue limits how much of a field's value is printed, in characters. The JSON output
// has the whole value.
const maxValue = 120

// valueText prints a value on one line.
func valueText(value json.RawMessage) string {
	if value == nil {
		return "(none)"
	}
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		return "?"
	}
	return textfmt.Shorten(line.String(), maxValue)
}

// maxNames limits how many clusters of a group are named.
const maxNames = 10

// PrintImpact prints what becomes of clusters, and every group of an impact with the names of its
// first few clusters. It prints nothing for nil.
func PrintImpact(w io.Writer, i *fleet.Impact) {
	if i == nil {
		return
	}
	d := textdiff.New(w)
	styles := map[byte]terminal.Style{'-': terminal.Red, '+': terminal.Green, '~': terminal.Cyan}
	for _, line := range clusterLines(i) {
		fmt.Fprintln(w, d.Styled(styles[line.mark], string(line.mark)+" "+line.text))
	}
	for _, g := range i.Groups {
		fmt.Fprintf(w, "%s: %s\n", textfmt.Count(len(g.Clusters), "cluster"), textfmt.Visible(textfmt.List(g.Clusters, maxNames)))
		for _, line := range effectLines(g) {
			fmt.Fprintln(w, d.Styled(styles[line.mark], "  "+string(line.mark)+" "+line.text))
		}
	}
}

// PrintReasons prints why a release is held or fails, one reason a line: violations of
// the guard, and the clusters for which the release is invalid.
func PrintReasons(w io.Writer, violations []fleet.Violation, failing []fleet.FailingCluster) {
	for _, v := range violations {
		fmt.Fprintf(w, "guard: %s: %s\n", v.Rule, textfmt.Visible(v.Message))
	}
	for _, g := range groupByReason(failing) {
		fmt.Fprintf(w, "fails for %s: %s\n", textfmt.Visible(textfmt.List(g.clusters, maxNames)), textfmt.Visible(g.reason))
	}
}

// OtherProblems returns the problems that are not the reason of a failing cluster.
func OtherProblems(problems fleet.Problems, failing []fleet.FailingCluster) fleet.Problems {
	return slices.DeleteFunc(slices.Clone(problems), func(p fleet.Problem) bool {
		return slices.ContainsFunc(failing, func(f fleet.FailingCluster) bool { return f.Reason == p.String() })
	})
}

type reasonGroup struct {
	reason   string
	clusters []string
}

// groupByReason groups failing clusters that have the same reason, apart from their names.
func groupByReason(failing []fleet.FailingCluster) (all []*reasonGroup) {
	places := map[string]int{}
	for _, f := range failing {
		reason := strings.Replace(f.Reason, fmt.Sprintf("cluster %q: ", f.Cluster), "", 1)
		at, known := places[reason]
		if !known {
			at, all = len(all), append(all, &reasonGroup{reason: reason})
			places[reason] = at
		}
		all[at].clusters = append(all[at].clusters, f.Cluster)
	}
	return all
}

// GuardError rewrites a guard error for the command line: it says why nothing changed,
// what would be removed, and which flag confirms it. The result wraps err.
func GuardError(err *fleet.GuardError, why, flag string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s\n", why, Scale(err.Impact))
	PrintReasons(&text, err.Violations, nil)
	PrintImpact(&text, err.Impact)
	fmt.Fprintf(&text, "if this is intended, repeat the command with %s %s", flag, err.Impact.Digest)
	return &guardError{text.String(), err}
}

type guardError struct {
	text string
	err  error
}

func (e *guardError) Error() string { return e.text }
func (e *guardError) Unwrap() error { return e.err }
