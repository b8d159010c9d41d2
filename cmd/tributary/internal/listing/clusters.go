package listing

import (
	"fmt"
	"io"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
)

// Clusters prints a row for each cluster.
func Clusters(w io.Writer, clusters []api.Cluster, now time.Time) error {
	t := table.New(w, "NAME", "DNS", "LABELS", "OVERLAY", "INPUTS", "ORPHANS", "STATE", "RELEASE", "LAST POLL")
	for _, c := range clusters {
		inputs := 0
		for _, count := range c.Inputs {
			inputs += count
		}
		t.Row(c.Name, c.DNS, labelText(c.Labels), c.Placement.Overlay, fmt.Sprint(inputs), fmt.Sprint(len(c.Orphans)),
			string(c.State), c.Release.ID, pollText(c, now))
	}
	return t.Flush()
}

// Cluster prints a cluster, why it is on its release, and its polls.
func Cluster(w io.Writer, c api.Cluster, now time.Time) error {
	if err := Clusters(w, []api.Cluster{c}, now); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nrelease: %s of %s\n", c.Release.ID, textfmt.Visible(c.Release.Revision))
	for _, line := range [][2]string{{"why", c.Why}, {"pin", c.Pin}} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s: %s\n", line[0], textfmt.Visible(line[1]))
		}
	}
	if len(c.Polls) == 0 {
		return nil
	}
	t := table.New(w, "SET", "LAST POLL", "EVERY", "RELEASE", "GENERATION", "OPERATOR")
	for _, p := range c.Polls {
		t.Row(p.Set, textfmt.Age(&p.At, now), p.Every, p.Release, fmt.Sprint(p.Generation), p.Agent)
	}
	return t.Flush()
}

// pollText returns how long ago the cluster last polled any of its sets, and whether it
// is late.
func pollText(c api.Cluster, now time.Time) string {
	var last *time.Time
	for _, p := range c.Polls {
		if last == nil || p.At.After(*last) {
			last = &p.At
		}
	}
	switch {
	case last == nil:
		return string(api.ContactNever)
	case c.Contact == api.ContactLate:
		return textfmt.Age(last, now) + " (late)"
	}
	return textfmt.Age(last, now)
}
