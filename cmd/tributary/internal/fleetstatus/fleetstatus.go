// Package fleetstatus prints a summary of the fleet. Each line names the command that shows more.
//
//	status, err := client.Status(ctx)
//	err = fleetstatus.Print(os.Stdout, status, time.Now())
package fleetstatus

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
)

// Print prints a status.
func Print(w io.Writer, s api.Status, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, textfmt.Visible(fmt.Sprintf(format, args...)))
	}
	if s.Live == nil {
		line("release", "none is live; tributary get releases says why")
	} else {
		line("release", "%s, live for %s", name(s.Live), textfmt.Age(&s.Live.At, now))
	}
	if r := s.RollingOut; r != nil {
		line("rollout", "%s, %s", name(r), rolloutText(r))
	}
	if r := s.Held; r != nil {
		line("held", "%s: %s; tributary get releases %s shows what it does", name(r), why(r), r.ID)
	}
	if r := s.Failed; r != nil {
		line("failed", "%s: %s; tributary get releases %s shows all of it", name(r), why(r), r.ID)
	}
	if s.Source.Error != "" {
		line("source", "%s: %s", s.Source.Name, s.Source.Error)
	}
	c := s.Clusters
	line("clusters", "%d, %d of them decommissioned", c.Total, c.Decommissioned)
	for _, one := range []struct {
		name, about string
		n           int
	}{
		{"failing", "a release is not valid for them, or they are answered with errors", c.Failing},
		{"late", "they no longer poll", c.Late},
		{"orphaned", "their files have vanished", c.Orphaned},
		{"behind", "they lack the release that the fleet goes to", c.Behind},
	} {
		if one.n == 0 {
			line(one.name, "0")
		} else {
			line(one.name, "%d: %s; tributary get clusters --%s", one.n, one.about, one.name)
		}
	}
	line("never polled", "%d", c.NeverPolled)
	if s.Overdue > 0 {
		line("overdue", "%d expired deltas or pins are still in force; tributary get deltas and get pins show them", s.Overdue)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(s.Attention) == 0 {
		_, err := fmt.Fprintln(w, "nothing needs attention")
		return err
	}
	words := make([]string, len(s.Attention))
	for i, a := range s.Attention {
		words[i] = string(a)
	}
	_, err := fmt.Fprintf(w, "needs attention: %s\n", strings.Join(words, ", "))
	return err
}

func name(r *api.ReleaseSummary) string { return r.ID + " of " + r.Revision }

func why(r *api.ReleaseSummary) string {
	if r.Why == "" {
		return "it waits for a decision"
	}
	return r.Why
}

func rolloutText(r *api.ReleaseSummary) string {
	if r.Rollout == nil {
		return "it has begun"
	}
	reached := 0
	for _, w := range r.Rollout.Waves {
		if w.Reached {
			reached++
		}
	}
	text := fmt.Sprintf("%s; %d of %d waves have it", r.Rollout.Phase, reached, len(r.Rollout.Waves))
	if r.Rollout.Reason != "" {
		text += ": " + r.Rollout.Reason
	}
	return text
}
