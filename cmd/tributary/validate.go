package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/exitcode"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/progress"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

type validateOptions struct {
	source sourceFlags
	output string
}

func newValidate() *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate SOURCE",
		Short: "Check every cluster of a fleet repo, for a pull request's CI",
		Long: `Renders and checks every cluster, and prints each problem on a line: file:line: field:
what to do. Warnings are printed too, but do not affect the exit status. It also checks that
each ResourceSet in a YAML file of the fleet repo waits for its providers, because Flux
deletes everything made from a provider that is recreated otherwise.

` + sourceHelp,
		Example: `  tributary validate .
  tributary validate https://github.com/acme/fleet.git?ref=new-cluster -o json

Exit status is 0 if the fleet can be served, and 1 if not.`,
		Args: named("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return validate(cmd.Context(), cmd.OutOrStdout(), args[0], o)
		},
	}
	o.source.bind(cmd.Flags())
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	return cmd
}

// report is the JSON output of validate.
type report struct {
	Revision string         `json:"revision"`
	Clusters int            `json:"clusters"`
	Sets     []string       `json:"sets"`
	Problems fleet.Problems `json:"problems"`
}

// MarshalJSON prints empty lists as [], not null.
func (r report) MarshalJSON() ([]byte, error) {
	type plain report
	r.Sets, r.Problems = append([]string{}, r.Sets...), append(fleet.Problems{}, r.Problems...)
	return json.Marshal(plain(r))
}

func validate(ctx context.Context, w io.Writer, ref string, o validateOptions) error {
	if err := output.Check(o.output, "text", "json"); err != nil {
		return err
	}
	source, snapshot, err := o.source.snapshot(ctx, ref)
	var refused *fleet.RefusedError
	if errors.As(err, &refused) {
		return printReport(w, report{Revision: refused.Revision, Problems: fleet.Problems{refused.Problem}}, o)
	} else if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	r, err := checkFleet(ctx, snapshot)
	if err != nil {
		return err
	}
	return printReport(w, r, o)
}

// checkFleet renders and checks every cluster, as the server does. It also checks the
// ResourceSets that a cluster may get by another way than a release.
func checkFleet(ctx context.Context, snapshot *fleet.Snapshot) (report, error) {
	clusters := 0
	line := progress.New(os.Stderr)
	view, problems, err := controller.Prepare(ctx, render.Renderer{}, snapshot, nil, func(done, total int) {
		clusters = total
		line.Show("%d of %d clusters", done, total)
	})
	line.Clear()
	if err != nil {
		return report{}, err
	}
	for _, p := range render.UnprotectedResourceSets(snapshot.Tree) {
		known := func(k fleet.Problem) bool { return k.File == p.File && strings.HasSuffix(k.Message, p.Message) }
		if !slices.ContainsFunc(problems, known) {
			problems = append(problems, p)
		}
	}
	r := report{Revision: snapshot.Revision, Clusters: clusters, Problems: problems.Sort()}
	if view != nil {
		r.Sets = view.Sets()
	}
	return r, nil
}

// printReport prints a report in the format of --output. It returns
// exitcode.ErrReported if the fleet cannot be served.
func printReport(w io.Writer, r report, o validateOptions) error {
	print := printTextReport
	if o.output == "json" {
		print = func(w io.Writer, r report) error { return output.JSON(w, r) }
	}
	if err := print(w, r); err != nil {
		return err
	}
	if len(r.Problems.Faults()) > 0 {
		return exitcode.ErrReported
	}
	return nil
}

func printTextReport(w io.Writer, r report) error {
	for _, p := range r.Problems {
		kind := ""
		if p.Warning {
			kind = "warning: "
		}
		if _, err := fmt.Fprintln(w, kind+p.String()); err != nil {
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
