package listing

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
)

// Clusters describes clusters.
var Clusters = Kind[api.Cluster]{
	Noun: "cluster",
	Name: func(c api.Cluster) string { return "cluster/" + c.Name },
	Columns: []table.Column[api.Cluster]{
		{Title: "NAME", Text: func(c api.Cluster) string { return c.Name }},
		{Title: "STATE", Text: func(c api.Cluster) string { return string(c.State) }, Style: func(c api.Cluster) terminal.Style { return stateStyle(string(c.State)) }},
		{Title: "RELEASE", Text: func(c api.Cluster) string { return c.Release.ID }},
		{Title: "INPUTS", Text: func(c api.Cluster) string { return fmt.Sprint(inputCount(c)) }},
		{Title: "STALE PARTS", Text: func(c api.Cluster) string { return fmt.Sprint(len(c.Orphans)) }, Style: func(c api.Cluster) terminal.Style { return alert(len(c.Orphans)) }},
		{Title: "LAST POLL", Time: lastPoll, None: string(api.ContactNever)},
		{Title: "CONTACT", Text: contactText, Style: func(c api.Cluster) terminal.Style { return stateStyle(string(c.Contact)) }},
		{Title: "DNS", Wide: true, Text: func(c api.Cluster) string { return c.DNS }},
		{Title: "OVERLAY", Wide: true, Long: true, Text: func(c api.Cluster) string { return c.Placement.Overlay }},
		{Title: "LABELS", Wide: true, Long: true, Text: func(c api.Cluster) string { return labels.Set(c.Labels).String() }},
	},
}

func inputCount(c api.Cluster) (n int) {
	for _, count := range c.Inputs {
		n += count
	}
	return n
}

// lastPoll returns when any set of a cluster was last polled, by its Flux Operator or by hand; nil
// for never.
func lastPoll(c api.Cluster) *time.Time {
	last, byHand := newest(c.Polls), newest(c.PollsByHand)
	if last == nil || byHand != nil && byHand.After(*last) {
		return byHand
	}
	return last
}

// contactText says whether the Flux Operator of a cluster polls, and whether the last poll was one
// by hand.
func contactText(c api.Cluster) string {
	if last := lastPoll(c); last != nil && last == newest(c.PollsByHand) {
		return string(c.Contact) + " (by hand)"
	}
	return string(c.Contact)
}

// newest returns when the last of some polls was; nil if there is none.
func newest(polls []api.Poll) (last *time.Time) {
	for i := range polls {
		if last == nil || polls[i].At.After(*last) {
			last = &polls[i].At
		}
	}
	return last
}

var pollColumns = []table.Column[api.Poll]{
	{Title: "SET", Text: func(p api.Poll) string { return p.Set }},
	{Title: "LAST POLL", Time: func(p api.Poll) *time.Time { return &p.At }},
	{Title: "EVERY", Text: func(p api.Poll) string { return p.Every }},
	{Title: "RELEASE", Text: func(p api.Poll) string { return p.Release }},
	{Title: "GENERATION", Text: func(p api.Poll) string { return fmt.Sprint(p.Generation) }},
	{Title: "CLIENT", Text: pollClient},
}

// ClusterDetails prints what a cluster is, why it is on its release, and its polls.
func ClusterDetails(w io.Writer, c api.Cluster) error {
	for _, line := range [][2]string{
		{"labels", labels.Set(c.Labels).String()}, {"dns", c.DNS}, {"overlay", c.Placement.Overlay},
		{"release", strings.TrimSpace(c.Release.ID + " of " + c.Release.Revision)}, {"why", c.Why}, {"pin", c.Pin},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s: %s\n", line[0], textfmt.Visible(line[1]))
		}
	}
	if len(c.Polls)+len(c.PollsByHand) == 0 {
		return nil
	}
	return table.New(w, pollColumns, table.Options{}).Print(slices.Concat(c.Polls, c.PollsByHand)...)
}

// pollClient returns the User-Agent of a poll and, of one by hand, whose credential it had.
func pollClient(p api.Poll) string {
	if p.IsByHand() {
		return p.Agent + ", by hand, by " + p.By
	}
	return p.Agent
}
