package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/lookup"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

type renderOptions struct {
	source  flags.Source
	set     string
	objects bool
	deltas  string
	output  string
	whatIf  whatIf
}

func newRender() *cobra.Command {
	var o renderOptions
	cmd := &cobra.Command{
		Use:   "render SOURCE CLUSTER",
		Short: "Print the inputs that a cluster gets or would get",
		Long: `Prints the inputs of a cluster, given by name or dns: those of every set, or with --set
exactly the answer to a poll of that set. With --objects it prints the objects that the
inputs are made from. With --deltas it applies the deltas of a file, in the format of
tributary get deltas -o yaml. It warns about parts of them that no longer apply.

With --labels or --dns it prints what a cluster would get that does not exist yet, if it
were declared or registered with them. CLUSTER is then its name, by default "example".

` + flags.SourceHelp,
		Example: `  tributary render . eu-prod-01
  tributary render . eu-prod-01 --set platform-components -o json
  tributary render . eu-prod-01 --objects
  tributary render . eu-prod-01 --deltas deltas.yaml
  tributary render . --labels environment=prod,region=eu

Exit status is 0, or 1 if the cluster cannot be rendered.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return renderCluster(cmd, args[0], append(args, "")[1], o)
		},
	}
	cmd.Args = o.whatIf.args
	o.whatIf.bind(cmd.Flags())
	o.source.Bind(cmd.Flags())
	cmd.Flags().StringVar(&o.set, "set", "", "print only this input set")
	cmd.Flags().BoolVar(&o.objects, "objects", false, "print objects instead of inputs")
	cmd.Flags().StringVar(&o.deltas, "deltas", "", "file with deltas to apply, - for standard input")
	cmd.Flags().StringVarP(&o.output, "output", "o", "yaml", "yaml or json")
	cmd.MarkFlagsMutuallyExclusive("set", "objects")
	return cmd
}

func renderCluster(cmd *cobra.Command, ref, name string, o renderOptions) error {
	ctx, w, stderr := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := output.Check(o.output, "yaml", "json"); err != nil {
		return err
	}
	var deltas []*fleet.Delta
	if o.deltas != "" {
		var err error
		if deltas, err = document.ReadDeltas(o.deltas, cmd.InOrStdin(), render.Renderer{}.ReadDelta); err != nil {
			return err
		}
	}
	source, snapshot, err := snapshot(ctx, ref, o.source.Options)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	repo, err := render.Renderer{}.Compile(ctx, snapshot.Tree)
	if err != nil {
		return err
	}
	c, err := lookup.Find(repo, name)
	if o.whatIf.isSet(cmd.Flags()) {
		c, err = lookup.New(repo, fleet.Cluster{Name: name, DNS: o.whatIf.dns, Labels: o.whatIf.labels}, render.Renderer{}.ReadDeclaration)
	}
	if err != nil {
		return err
	}
	rendering, problems, err := renderWith(cmd.Context(), repo, c, deltas)
	if err != nil {
		return err
	}
	if rendering == nil {
		return fmt.Errorf("cluster %q cannot be rendered:\n%w", c.Name, problems.Faults())
	}
	for _, p := range problems {
		_, _ = fmt.Fprintln(stderr, "tributary: warning:", p)
	}
	for _, part := range rendering.Stale {
		fmt.Fprintf(stderr, "tributary: warning: %s: %s: no longer applies: %s\n", part.Delta, part.Field, part.Reason)
	}
	if o.objects {
		return output.Objects(w, rendering.Objects(), o.output)
	}
	return printInputs(w, rendering, o)
}

// renderWith renders a cluster with those of the deltas that are for it. The problems say
// why if there is no rendering.
func renderWith(ctx context.Context, repo fleet.Repo, c *fleet.Cluster, deltas []*fleet.Delta) (*fleet.Rendering, fleet.Problems, error) {
	own, err := fleet.DeltasFor(c, deltas)
	if err != nil {
		return nil, nil, err
	}
	rendering, problems := repo.Render(ctx, c, own, nil)
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if rendering == nil && repo.Failed() { // these may be the cause
		problems = append(problems, repo.Problems()...).Sort()
	}
	return rendering, problems, nil
}

func printInputs(w io.Writer, r *fleet.Rendering, o renderOptions) error {
	if o.set != "" {
		set, ok := r.Inputs[o.set]
		if !ok {
			return fmt.Errorf("input set %q: %w in fleet.yaml", o.set, fleet.ErrNotFound)
		}
		return output.Document(w, set.JSON(), o.output)
	}
	all := map[string]json.RawMessage{}
	for name, set := range r.Inputs {
		all[name] = set.JSON()
	}
	var b bytes.Buffer
	if err := output.JSON(&b, all); err != nil {
		return err
	}
	return output.Document(w, b.Bytes(), o.output)
}

// whatIf describes a cluster that does not exist yet.
type whatIf struct {
	labels map[string]string
	dns    string
}

func (w *whatIf) bind(f *pflag.FlagSet) {
	f.StringToStringVar(&w.labels, "labels", nil, "labels of a cluster that does not exist yet, such as environment=dev,region=eu")
	f.StringVar(&w.dns, "dns", "", "dns of a cluster that does not exist yet")
}

// isSet reports whether a flag describes a new cluster.
func (w *whatIf) isSet(f *pflag.FlagSet) bool { return f.Changed("labels") || f.Changed("dns") }

// args checks the arguments. CLUSTER is optional for a new cluster.
func (w *whatIf) args(cmd *cobra.Command, args []string) error {
	if w.isSet(cmd.Flags()) && len(args) == 1 {
		return nil
	}
	return named("SOURCE", "CLUSTER")(cmd, args)
}
