package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

type renderOptions struct {
	source  sourceFlags
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
		Short: "Print what a cluster gets, or would get",
		Long: `Prints the inputs of a cluster, by its name or dns: those of every set, or with
--set exactly what a poll of that set is answered. With --objects it prints the
objects that the inputs are made from. With --deltas it is what the cluster gets with
those in force, as tributary get deltas -o yaml prints them; parts of them that cannot
be applied are left out, and are warnings.

With --labels or --dns it is what a cluster would get that does not exist yet, if it
were declared or registered so; then CLUSTER is its name, "example" if left out.

` + sourceHelp,
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
	o.source.bind(cmd.Flags())
	cmd.Flags().StringVar(&o.set, "set", "", "print this input set alone")
	cmd.Flags().BoolVar(&o.objects, "objects", false, "print objects in place of inputs")
	cmd.Flags().StringVar(&o.deltas, "deltas", "", "file with deltas to render with, - for standard input")
	cmd.Flags().StringVarP(&o.output, "output", "o", "yaml", "yaml or json")
	cmd.MarkFlagsMutuallyExclusive("set", "objects")
	return cmd
}

func renderCluster(cmd *cobra.Command, ref, name string, o renderOptions) error {
	ctx, w, stderr := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	if o.output != "yaml" && o.output != "json" {
		return fmt.Errorf("--output %q: must be yaml or json", o.output)
	}
	var deltas []*fleet.Delta
	if o.deltas != "" {
		var err error
		if deltas, err = document.ReadDeltas(o.deltas, cmd.InOrStdin(), render.Renderer{}.ReadDelta); err != nil {
			return err
		}
	}
	source, snapshot, err := o.source.snapshot(ctx, ref)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	repo, err := render.Renderer{}.Compile(ctx, snapshot.Tree)
	if err != nil {
		return err
	}
	c, err := clusterOf(repo, name)
	if o.whatIf.asked(cmd.Flags()) {
		c, err = o.whatIf.cluster(repo, name)
	}
	if err != nil {
		return err
	}
	rendering, problems, err := one(repo, c, deltas)
	if err != nil {
		return err
	}
	if rendering == nil {
		return fmt.Errorf("cluster %q cannot be rendered:\n%w", c.Name, problems.Faults())
	}
	for _, p := range problems {
		_, _ = fmt.Fprintln(stderr, "tributary: warning:", p)
	}
	for _, orphan := range rendering.Orphans {
		fmt.Fprintf(stderr, "tributary: warning: %s: %s: is left out: %s\n", orphan.Delta, orphan.Field, orphan.Reason)
	}
	if o.objects {
		return output.Objects(w, rendering.Objects(), o.output)
	}
	return printInputs(w, rendering, o)
}

// clusterOf is the cluster of that name or dns.
func clusterOf(repo fleet.Repo, name string) (*fleet.Cluster, error) {
	for _, c := range repo.Clusters() {
		if c.Name == name || (c.DNS == name && name != "") {
			return c, nil
		}
	}
	faults := repo.Problems().Faults() // the cluster may be behind one of them
	if p, broken := repo.Broken()[name]; broken && !repo.Failed() {
		faults = fleet.Problems{p}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("cluster %q cannot be rendered:\n%w", name, faults)
	}
	return nil, fmt.Errorf("cluster %q: %w in the fleet repo", name, fleet.ErrNotFound)
}

// one renders a cluster with those of the deltas that are for it. Where there is no
// rendering the problems say why.
func one(repo fleet.Repo, c *fleet.Cluster, deltas []*fleet.Delta) (*fleet.Rendering, fleet.Problems, error) {
	own, err := fleet.DeltasFor(c, deltas)
	if err != nil {
		return nil, nil, err
	}
	rendering, problems := repo.Render(c, own, nil)
	if rendering == nil && repo.Failed() { // what it lacks may follow from that
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
