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

// whatIfName is what it is called where nobody says.
const whatIfName = "example"

func (w *whatIf) bind(f *pflag.FlagSet) {
	f.StringToStringVar(&w.labels, "labels", nil, "labels of a cluster that does not exist yet, such as environment=dev,region=eu")
	f.StringVar(&w.dns, "dns", "", "its dns")
}

// asked tells whether the cluster is one that does not exist yet.
func (w *whatIf) asked(f *pflag.FlagSet) bool { return f.Changed("labels") || f.Changed("dns") }

// args takes a CLUSTER that does not exist yet or not, and one that does.
func (w *whatIf) args(cmd *cobra.Command, args []string) error {
	if w.asked(cmd.Flags()) && len(args) == 1 {
		return nil
	}
	return named("SOURCE", "CLUSTER")(cmd, args)
}

// cluster is the cluster as the API would declare it.
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
			return c, fmt.Errorf("dns %q is that of cluster %q in the fleet repo; give another one", c.DNS, other.Name)
		}
	}
	if taken {
		return c, fmt.Errorf("cluster %q is in the fleet repo already; leave --labels and --dns out to render it, or give another name", c.Name)
	}
	return c, nil
}
