// Package report prints what a check of a fleet repo found.
//
//	err := report.Print(os.Stdout, report.Report{Revision: revision, Problems: problems}, "text")
//
// The error is exitcode.ErrReported if the fleet cannot be served.
package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/exitcode"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/fleet"
)

// Report is what a check of a fleet repo found.
type Report struct {
	Revision string         `json:"revision"`
	Clusters int            `json:"clusters"`
	Sets     []string       `json:"sets"`
	Problems fleet.Problems `json:"problems"`
}

// MarshalJSON prints empty lists as [], not null.
func (r Report) MarshalJSON() ([]byte, error) {
	type plain Report
	r.Sets, r.Problems = append([]string{}, r.Sets...), append(fleet.Problems{}, r.Problems...)
	return json.Marshal(plain(r))
}

// Print prints a report in the format "text" or "json". It returns
// exitcode.ErrReported if the fleet cannot be served.
func Print(w io.Writer, r Report, format string) error {
	print := printText
	if format == "json" {
		print = func(w io.Writer, r Report) error { return output.JSON(w, r) }
	}
	if err := print(w, r); err != nil {
		return err
	}
	if len(r.Problems.Faults()) > 0 {
		return exitcode.ErrReported
	}
	return nil
}

// clustersOf names the clusters that a problem of a shared file concerns.
func clustersOf(p fleet.Problem) string {
	if p.Concerns == "" {
		return ""
	}
	return " (clusters: " + p.Concerns + ")"
}

func printText(w io.Writer, r Report) error {
	for _, p := range append(r.Problems.Faults(), r.Problems.Warnings()...).Group() {
		kind := ""
		if p.Warning {
			kind = "warning: "
		}
		if _, err := fmt.Fprintln(w, kind+p.String()+clustersOf(p.Problem)); err != nil {
			return err
		}
	}
	if faults := len(r.Problems.Faults()); faults > 0 {
		_, err := fmt.Fprintf(w, "not ok: %s cannot be served, faults: %d\n", r.Revision, faults)
		return err
	}
	_, err := fmt.Fprintf(w, "ok: %d clusters, %d input sets, %s\n", r.Clusters, len(r.Sets), r.Revision)
	return err
}
