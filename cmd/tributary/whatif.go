package main

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// whatIf describes a cluster that does not exist yet.
type whatIf struct {
	labels map[string]string
	dns    string
}

// whatIfName is the default name.
const whatIfName = "example"

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

// cluster returns the new cluster, which it checks as the API does.
func (w *whatIf) cluster(repo fleet.Repo, name string) (*fleet.Cluster, error) {
	c := &fleet.Cluster{Name: cmp.Or(name, whatIfName), DNS: w.dns, Labels: w.labels}
	declaration, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	if _, _, err := (render.Renderer{}).ReadDeclaration(declaration); err != nil {
		return c, err
	}
	_, taken := repo.Broken()[c.Name]
	for _, other := range repo.Clusters() {
		taken = taken || other.Name == c.Name
		if c.DNS != "" && other.DNS == c.DNS {
			return c, fmt.Errorf("dns %q belongs to cluster %q in the fleet repo; use another one", c.DNS, other.Name)
		}
	}
	if taken {
		return c, fmt.Errorf("cluster %q is already in the fleet repo; leave out --labels and --dns to render it, or use another name", c.Name)
	}
	return c, nil
}
