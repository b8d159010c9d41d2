package listing

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Deltas describes deltas. As YAML they are documents for apply.
var Deltas = Kind[api.Delta]{
	Noun: "delta",
	Name: func(d api.Delta) string { return d.ID() },
	YAML: func(w io.Writer, all []api.Delta) error {
		deltas := make([]*fleet.Delta, len(all))
		for i, d := range all {
			deltas[i] = d.Delta
		}
		return document.PrintDeltas(w, deltas)
	},
	Columns: []table.Column[api.Delta]{
		{Title: "DELTA", Text: func(d api.Delta) string { return d.ID() }},
		{Title: "FOR", Long: true, Text: func(d api.Delta) string { return cmp.Or(d.Cluster, selector.Describe(d.Selector, d.Clusters)) }},
		{Title: "PRIORITY", Text: deltaPriority},
		{Title: "CLUSTERS", Text: func(d api.Delta) string { return fmt.Sprint(d.Status.Clusters) }},
		{Title: "PARTS", Long: true, Text: func(d api.Delta) string { return deltaParts(d.Delta) }},
		{Title: "STALE PARTS", Text: func(d api.Delta) string { return fmt.Sprint(len(d.Status.Orphans)) }, Style: func(d api.Delta) terminal.Style { return alert(len(d.Status.Orphans)) }},
		{Title: "EXPIRES", Until: true, Time: func(d api.Delta) *time.Time { return d.ExpiresAt }, None: "never"},
	},
}

// deltaPriority says when a delta is applied: that of a cluster comes last.
func deltaPriority(d api.Delta) string {
	if d.Cluster != "" {
		return "last"
	}
	return fmt.Sprint(d.Priority)
}

// DeltaDetails prints the parts of deltas that no longer apply, and which deltas are overdue.
func DeltaDetails(w io.Writer, deltas []api.Delta) error {
	for _, d := range deltas {
		for _, o := range d.Status.Orphans {
			fmt.Fprintf(w, "stale: %[2]s of %[3]s no longer applies to cluster %[1]s: %[4]s\n", o.Cluster, textfmt.Visible(o.Field), d.ID(), textfmt.Visible(o.Reason))
		}
		if d.Status.Overdue != "" {
			fmt.Fprintf(w, "overdue: %s is still in force: %s\n", d.ID(), textfmt.Visible(d.Status.Overdue))
		}
	}
	return nil
}

// deltaParts counts the parts of a delta.
func deltaParts(d *fleet.Delta) string {
	var all []string
	for _, p := range []struct {
		count int
		noun  string
	}{{len(d.Components), "component"}, {len(d.Resources), "resource"}, {len(d.Patches), "patch"}, {len(d.Edits), "edit"}} {
		switch {
		case p.count == 1:
			all = append(all, "1 "+p.noun)
		case p.count > 1:
			all = append(all, fmt.Sprintf("%d %s", p.count, strings.Replace(p.noun+"s", "chs", "ches", 1)))
		}
	}
	return strings.Join(all, ", ")
}
