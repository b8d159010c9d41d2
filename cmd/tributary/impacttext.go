package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// scale is how much an impact is, in a line.
func scale(i *fleet.Impact) string {
	if i == nil || i.Clusters == 0 {
		return "nothing changes"
	}
	var all []string
	for _, part := range []struct {
		n    int
		what string
	}{{i.Removed, "removed"}, {i.Moved, "moved"}, {i.Changed, "changed"}, {i.Added, "added"}} {
		if part.n == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", part.n, part.what)
		if part.what == "changed" {
			text += fmt.Sprintf(" (%s)", count(i.Fields, "field"))
		}
		all = append(all, text)
	}
	if all == nil {
		all = []string{"none"}
	}
	return fmt.Sprintf("inputs: %s; clusters: %d", strings.Join(all, ", "), i.Clusters)
}

// effectLine is a line of what happens to clusters: what goes is marked with -, what
// comes with +, and what becomes otherwise with ~.
type effectLine struct {
	mark byte
	text string
}

// effectLines say all of a group, what is taken away first.
func effectLines(g fleet.ImpactGroup) (all []effectLine) {
	for _, set := range g.Vanished {
		all = append(all, effectLine{'-', "set " + set + " vanishes"})
	}
	for _, set := range g.Emptied {
		all = append(all, effectLine{'-', "set " + set + " is left empty"})
	}
	for _, part := range g.Orphaned {
		all = append(all, effectLine{'-', part + " stops to apply"})
	}
	for _, effect := range []fleet.Effect{fleet.Removed, fleet.Moved, fleet.Changed, fleet.Added} {
		for _, c := range g.Changes {
			if c.Effect == effect {
				all = append(all, inputLines(c)...)
			}
		}
	}
	for i := range all {
		all[i].text = visible(all[i].text)
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
	case fleet.Moved: // Two ResourceSets poll apart.
		return []effectLine{{'-', name + " moves to " + c.To + ": it is deleted here, and made there"}}
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

// longestValue is how much of a field people are shown, in characters.
const longestValue = 120

// valueText is a value in a line. As JSON nothing is left out of it.
func valueText(value json.RawMessage) string {
	if value == nil {
		return "(none)"
	}
	var line bytes.Buffer
	if err := json.Compact(&line, value); err != nil {
		return "?"
	}
	return shortened(line.String(), longestValue)
}

func shortened(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// mostNames is how many clusters of a group people are shown.
const mostNames = 10

// printImpact prints all groups of an impact, of each the first few clusters.
func printImpact(w io.Writer, i *fleet.Impact) {
	if i == nil {
		return
	}
	d := newDiffPrinter(w)
	styles := map[byte]string{'-': red, '+': green, '~': cyan}
	for _, g := range i.Groups {
		fmt.Fprintf(w, "%s: %s\n", count(len(g.Clusters), "cluster"), visible(some(g.Clusters, mostNames)))
		for _, line := range effectLines(g) {
			text := "  " + string(line.mark) + " " + line.text
			if style := styles[line.mark]; style != "" {
				text = d.in(style, text)
			}
			fmt.Fprintln(w, text)
		}
	}
}

// printReasons prints why, one a line: what of the guard is gone beyond, and which
// clusters a release is not good for.
func printReasons(w io.Writer, violations []fleet.Violation, failing []fleet.FailingCluster) {
	for _, v := range violations {
		fmt.Fprintf(w, "guard: %s: %s\n", v.Rule, visible(v.Message))
	}
	for _, g := range sharedReasons(failing) {
		fmt.Fprintf(w, "fails for %s: %s\n", visible(some(g.clusters, mostNames)), visible(g.reason))
	}
}

// unsaid are the problems that are not the reason why some cluster fails.
func unsaid(problems fleet.Problems, failing []fleet.FailingCluster) fleet.Problems {
	return slices.DeleteFunc(slices.Clone(problems), func(p fleet.Problem) bool {
		return slices.ContainsFunc(failing, func(f fleet.FailingCluster) bool { return f.Reason == p.String() })
	})
}

type sharedReason struct {
	reason   string
	clusters []string
}

// sharedReasons puts clusters together that one reason has fail.
func sharedReasons(failing []fleet.FailingCluster) (all []*sharedReason) {
	for _, f := range failing {
		at := slices.IndexFunc(all, func(g *sharedReason) bool { return g.reason == f.Reason })
		if at < 0 {
			at, all = len(all), append(all, &sharedReason{reason: f.Reason})
		}
		all[at].clusters = append(all[at].clusters, f.Cluster)
	}
	return all
}

// guarded says why nothing was done, what would be taken away, and with which flag
// that is confirmed.
func guarded(e *fleet.GuardError, why, flag string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s\n", why, scale(e.Impact))
	printReasons(&text, e.Violations, nil)
	printImpact(&text, e.Impact)
	fmt.Fprintf(&text, "if that is meant, repeat the command with %s %s", flag, e.Impact.Digest)
	return &guardedError{text.String(), e}
}

// guardedError is a GuardError in the words of the command line.
type guardedError struct {
	text string
	err  error
}

func (e *guardedError) Error() string { return e.text }
func (e *guardedError) Unwrap() error { return e.err }
