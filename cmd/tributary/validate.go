package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/progress"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/report"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
)

type validateOptions struct {
	source flags.Source
	output string
	strict bool
}

func newValidate() *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate SOURCE",
		Short: "Check every cluster of a fleet repo, for a pull request's CI",
		Long: `Renders and checks every cluster, and prints each problem on a line: file:line: field:
what to do. Warnings are printed too, but do not affect the exit status without --strict: what
has no effect, such as components that no cluster uses, patches and selectors that select
nothing, labels that are probably misspelt, and variables that nothing substitutes. It also
checks that each ResourceSet in a YAML file of the fleet repo waits for its providers, because Flux
deletes everything made from a provider that is recreated otherwise.

` + flags.SourceHelp,
		Example: `  tributary validate .
  tributary validate https://github.com/acme/fleet.git?ref=new-cluster -o json

Exit status is 0 if the fleet can be served, and 1 if not.`,
		Args: named("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return validate(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], o)
		},
	}
	o.source.Bind(cmd.Flags())
	cmd.Flags().BoolVar(&o.strict, "strict", false, "treat warnings as faults")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	return cmd
}

func validate(ctx context.Context, w, stderr io.Writer, ref string, o validateOptions) error {
	if err := output.Check(o.output, "text", "json"); err != nil {
		return err
	}
	source, snapshot, err := snapshot(ctx, ref, o.source.Options)
	var refused *fleet.RefusedError
	if errors.As(err, &refused) {
		return report.Print(w, report.Report{Revision: refused.Revision, Problems: fleet.Problems{refused.Problem}}, o.output)
	} else if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	r, err := checkFleet(ctx, stderr, snapshot)
	if err != nil {
		return err
	}
	for i := range r.Problems {
		r.Problems[i].Warning = r.Problems[i].Warning && !o.strict
	}
	return report.Print(w, r, o.output)
}

// checkFleet renders and checks every cluster, as the server does. It also checks the
// ResourceSets that a cluster may get by another way than a release.
func checkFleet(ctx context.Context, stderr io.Writer, snapshot *fleet.Snapshot) (report.Report, error) {
	clusters := 0
	line := progress.New(stderr)
	view, problems, err := view.Prepare(ctx, render.Renderer{}, snapshot, nil, func(done, total int) {
		clusters = total
		line.Show("%d of %d clusters", done, total)
	})
	line.Clear()
	if err != nil {
		return report.Report{}, err
	}
	for _, p := range render.UnprotectedResourceSets(snapshot.Tree) {
		known := func(k fleet.Problem) bool { return k.File == p.File && strings.HasSuffix(k.Message, p.Message) }
		if !slices.ContainsFunc(problems, known) {
			problems = append(problems, p)
		}
	}
	if view != nil {
		problems = append(problems, render.Lint(ctx, view.Live().Repo)...)
	}
	r := report.Report{Revision: snapshot.Revision, Clusters: clusters, Problems: problems.Sort()}
	if view != nil {
		r.Sets = view.Sets()
	}
	return r, nil
}
