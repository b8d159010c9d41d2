package main

import (
	"fmt"
	"io"

	"github.com/tributary-gitops/tributary/fleet"
)

// headline says what would come of a revision.
func headline(p *fleet.Preview) string {
	switch {
	case p.Outcome == fleet.OutcomeFailed:
		return "would fail, and the fleet would stay as it is"
	case p.Outcome == fleet.OutcomeHeld:
		return "would be held, until somebody approves it"
	case p.Outcome == fleet.OutcomeChanges && len(p.Failing) > 0:
		return "would go live, but not for " + count(len(p.Failing), "cluster")
	case p.Outcome == fleet.OutcomeChanges:
		return "would go live"
	case len(p.Failing) > 0:
		return "would change nothing, and fail for " + count(len(p.Failing), "cluster")
	}
	return "would change nothing"
}

// printPreview prints it for people.
func printPreview(w io.Writer, p *fleet.Preview) error {
	fmt.Fprintf(w, "%s %s\n", visible(p.Revision), headline(p))
	for _, problem := range unsaid(p.Problems, p.Failing) {
		kind := "fault: "
		if problem.Warning {
			kind = "warning: "
		}
		fmt.Fprintln(w, kind+visible(problem.String()))
	}
	printReasons(w, p.Violations, p.Failing)
	if p.Impact != nil && p.Impact.Clusters > 0 {
		fmt.Fprintln(w, scale(p.Impact))
		printImpact(w, p.Impact)
	}
	if len(p.Waves) > 0 {
		return waveTable(w, p.Waves)
	}
	return nil
}
