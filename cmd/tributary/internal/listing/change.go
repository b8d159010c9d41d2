package listing

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/preview"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textdiff"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Changes describes entries of the change log.
var Changes = Kind[api.Change]{
	Noun: "change",
	Name: func(c api.Change) string { return fmt.Sprintf("generation/%d", c.Generation) },
	Columns: []table.Column[api.Change]{
		{Title: "GENERATION", Text: func(c api.Change) string { return fmt.Sprint(c.Generation) }},
		{Title: "AGE", WideTitle: "TIME", Time: func(c api.Change) *time.Time { return &c.At }},
		{Title: "ACTOR", Text: func(c api.Change) string { return c.Actor }},
		{Title: "KIND", Text: func(c api.Change) string { return string(c.Kind) }},
		{Title: "WHAT", Long: true, Text: func(c api.Change) string { return textfmt.Revision(changeSummary(c, 1)) }, WideText: func(c api.Change) string { return changeSummary(c, 3) }},
		{Title: "REASON", Long: true, Text: func(c api.Change) string { return c.Reason }},
	},
}

// Change prints a change as git show prints a commit.
func Change(w io.Writer, c api.Change) error {
	fmt.Fprintf(w, "generation %d\n", c.Generation)
	for _, line := range [][2]string{
		{"time", textfmt.Time(c.At)}, {"actor", c.Actor}, {"kind", string(c.Kind)}, {"reason", c.Reason},
		{"what", changeSummary(c, 1+len(c.Pins)+len(c.Deltas)+len(c.Records)+len(c.Tokens))}, {"clusters", textfmt.List(c.Clusters, 10)},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "%-9s %s\n", line[0]+":", textfmt.Visible(line[1]))
		}
	}
	if c.Release != nil {
		if about := preview.Commit(c.Release.Commit); about != "" {
			fmt.Fprintln(w, about)
		}
	}
	parts, err := changeParts(c)
	if err != nil {
		return err
	}
	d := textdiff.New(w)
	for _, p := range parts {
		fmt.Fprintln(w)
		d.Print(p.Title, p.Before, p.After)
	}
	return nil
}

// changeSummary names what changed, up to limit things.
func changeSummary(c api.Change, limit int) string {
	var all []string
	if c.Release != nil {
		all = append(all, strings.TrimSpace("release "+c.Release.Revision+" "+commitOf(c.Release.Commit).Subject))
	}
	for _, p := range c.Pins {
		all = append(all, marked("pin "+p.Pin, p.Before == nil, p.After == nil))
	}
	for _, d := range c.Deltas {
		all = append(all, marked(d.Delta, d.Before == nil, d.After == nil))
	}
	for _, r := range c.Records {
		all = append(all, clusterSummary(c.Kind, r))
	}
	for _, t := range c.Tokens {
		title := marked(tokenTitle(t), t.Before == nil, false)
		if t.After == nil || t.After.RevokedAt != nil {
			title += " (revoked)"
		}
		all = append(all, title)
	}
	return textfmt.List(all, limit)
}

func marked(title string, isNew, isGone bool) string {
	switch {
	case isNew:
		return title + " (new)"
	case isGone:
		return title + " (dropped)"
	}
	return title
}

// clusterSummary describes a change to a cluster's life beyond its fields.
func clusterSummary(kind fleet.ChangeKind, r api.RecordChange) string {
	title := document.ClusterPrefix + r.Cluster
	before, after := cmp.Or(r.Before, &api.Record{}), cmp.Or(r.After, &api.Record{})
	switch {
	case after.Decommissioned != nil:
		return title + " (decommissioned)"
	case before.Decommissioned != nil && kind == fleet.Recommissioned:
		return title + " (in use again)"
	case before.Decommissioned != nil:
		return title + " (forgotten)"
	case after.Orphaned != nil:
		return title + " (orphaned)"
	case before.Orphaned != nil:
		return title + " (no longer orphaned)"
	case after.Stays != nil && before.Stays == nil:
		return title + " (stays on " + after.Stays.Release.Revision + ")"
	case before.Stays != nil && after.Stays == nil:
		return title + " (goes with the fleet again)"
	}
	return marked(title, r.Before == nil, r.After == nil)
}

func tokenTitle(t fleet.TokenChange) string {
	return "token " + cmp.Or(t.After, t.Before, &fleet.Token{Name: t.Token}).Name
}

// part is one thing that changed, before and after, as YAML; "" if it did not exist.
type part struct{ Title, Before, After string }

// changeParts returns the things that changed.
func changeParts(c api.Change) (all []part, err error) {
	add := func(title, before, after string, errs ...error) {
		all, err = append(all, part{title, before, after}), cmp.Or(append([]error{err}, errs...)...)
	}
	for _, p := range c.Pins {
		before, beforeErr := toYAML(p.Before)
		after, afterErr := toYAML(p.After)
		add("pin "+p.Pin, before, after, beforeErr, afterErr)
	}
	for _, d := range c.Deltas {
		before, beforeErr := document.Delta(d.Before)
		after, afterErr := document.Delta(d.After)
		add(d.Delta, before, after, beforeErr, afterErr)
	}
	for _, r := range c.Records {
		before, beforeErr := toYAML(r.Before)
		after, afterErr := toYAML(r.After)
		add(document.ClusterPrefix+r.Cluster, before, after, beforeErr, afterErr)
	}
	for _, t := range c.Tokens {
		before, beforeErr := toYAML(t.Before)
		after, afterErr := toYAML(t.After)
		add(tokenTitle(t), before, after, beforeErr, afterErr)
	}
	return all, err
}

// toYAML returns "" for nil.
func toYAML[T any](v *T) (string, error) {
	if v == nil {
		return "", nil
	}
	text, err := yaml.Marshal(v)
	return string(text), err
}
