package render

import (
	"maps"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// declaration is a cluster as it is declared through the API: what a cluster file
// says, without its nesting.
type declaration struct {
	Name       string            `json:"name"`
	DNS        string            `json:"dns"`
	Labels     map[string]string `json:"labels"`
	Overlay    string            `json:"overlay"`
	Components []string          `json:"components"`
	Resources  []plainObject     `json:"resources"`
	Patches    []patchDocument   `json:"patches"`
}

// ReadDeclaration implements fleet.Renderer.
func (Renderer) ReadDeclaration(text []byte) (string, *fleet.Declaration, error) {
	var read declaration
	if err := readOne(text, &read, read.check); err != nil {
		return "", nil, err
	}
	return read.Name, read.declaration(), nil
}

func (c *declaration) check(d *document) {
	if !isDNSLabel(c.Name) {
		d.problem("name", "%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", c.Name)
	}
	if c.DNS != "" && !fleet.IsClusterDNS(c.DNS) {
		d.problem("dns", "%q must be a DNS name with a dot in it, so that no cluster's name can be taken for it", c.DNS)
	}
	if len(c.Labels) > fleet.MaxLabels {
		d.problem("labels", "has %d; a cluster may have %d", len(c.Labels), fleet.MaxLabels)
	}
	checkLabels(d, "labels", c.Labels)
	if n := len(c.Components) + len(c.Resources) + len(c.Patches); n > maxOwn {
		d.problem("", "has %d components, resources and patches; one cluster may have %d: what many clusters share belongs in a component", n, maxOwn)
		return
	}
	if c.Overlay != "" {
		clean, inside := inTree(".", c.Overlay)
		if !inside {
			d.problem("overlay", "%s", outside(c.Overlay))
		}
		c.Overlay = clean
	}
	checkComponents(d, c.Components)
	for i, r := range c.Resources {
		r.checkObject(d, field("resources", i))
	}
	for i, p := range c.Patches {
		p.checkDelta(d, field("patches", i))
	}
}

func checkLabels(d *document, path string, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if wrong := fleet.WrongLabel(key, labels[key]); wrong != "" {
			d.problem(path+"."+key, "%s", wrong)
		}
	}
}

func (c *declaration) declaration() *fleet.Declaration {
	out := &fleet.Declaration{DNS: c.DNS, Labels: c.Labels, Overlay: c.Overlay, Components: c.Components}
	for _, r := range c.Resources {
		out.Resources = append(out.Resources, r.json)
	}
	for _, p := range c.Patches {
		out.Patches = append(out.Patches, p.patch())
	}
	return out
}
