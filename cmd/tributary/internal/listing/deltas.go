package listing

import (
	"fmt"
	"io"
	"strings"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Deltas prints a row for each delta, and below the table the parts that no longer apply.
func Deltas(w io.Writer, deltas []api.Delta) error {
	t := table.New(w, "DELTA", "FOR", "PRIORITY", "CLUSTERS", "PARTS", "ORPHANS", "EXPIRES")
	for _, d := range deltas {
		scope, priority, expires := selector.Describe(d.Selector, d.Clusters), fmt.Sprint(d.Priority), ""
		if d.Cluster != "" {
			scope, priority = d.Cluster, "last"
		}
		if d.ExpiresAt != nil {
			expires = textfmt.Time(*d.ExpiresAt)
		}
		if d.Status.Overdue != "" {
			expires += " (overdue)"
		}
		t.Row(d.ID(), scope, priority, fmt.Sprint(d.Status.Clusters), deltaParts(d.Delta), fmt.Sprint(len(d.Status.Orphans)), expires)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range deltas {
		for _, o := range d.Status.Orphans {
			fmt.Fprintf(w, "orphan: %[2]s of %[3]s no longer applies to cluster %[1]s: %[4]s\n", o.Cluster, textfmt.Visible(o.Field), d.ID(), textfmt.Visible(o.Reason))
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
