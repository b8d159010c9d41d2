// Package lookup finds the cluster that is to be rendered: one of a fleet repo, or one that does not
// exist yet.
//
//	cluster, err := lookup.Find(repo, "eu-prod-01")
//	cluster, err = lookup.New(repo, fleet.Cluster{Labels: labels}, render.Renderer{}.ReadDeclaration)
//
// Where there is none, the error has the faults of the fleet repo that may hide it.
package lookup

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// Find returns the cluster with this name or dns.
func Find(repo fleet.Repo, name string) (*fleet.Cluster, error) {
	for _, c := range repo.Clusters() {
		if c.Name == name || (c.DNS == name && name != "") {
			return c, nil
		}
	}
	faults := repo.Problems().Faults() // one of them may hide the cluster
	if p, broken := repo.Broken()[name]; broken && !repo.Failed() {
		faults = fleet.Problems{p}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("cluster %q cannot be rendered:\n%w", name, faults)
	}
	return nil, fmt.Errorf("cluster %q: %w in the fleet repo", name, fleet.ErrNotFound)
}

// defaultName is the name of a new cluster.
const defaultName = "example"

// New returns a cluster that the fleet repo does not have. Its declaration is checked by read, and
// its name is by default "example".
func New(repo fleet.Repo, given fleet.Cluster, read func([]byte) (string, *fleet.Declaration, error)) (*fleet.Cluster, error) {
	c := &given
	c.Name = cmp.Or(c.Name, defaultName)
	declaration, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	if _, _, err := read(declaration); err != nil {
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
