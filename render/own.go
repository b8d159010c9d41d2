package render

import (
	"strconv"

	"github.com/tributary-gitops/tributary/fleet"
)

// part is one thing that a cluster has of its own, and who says so: the
// cluster's file, where Delta is empty, or a delta. One of the four is set.
type part struct {
	fleet.Part
	line      int // in the cluster's file
	order     int // among the parts of all deltas
	component string
	resource  *fleet.Resource
	patch     *fleet.Patch
	edit      *fleet.Edit
}

// problem is what is wrong with a part, told where its author finds it.
func (p *part) problem(c *fleet.Cluster, err error) fleet.Problem {
	out := fleet.Problem{Cluster: c.Name, Delta: p.Delta, Field: p.Field, Message: plain(err)}
	if p.Delta == "" {
		out.File, out.Line = c.File, p.line
	}
	return out
}

// own is what a cluster has on top of its placement, in the order in which it
// applies. The components of its file are in the placement already.
type own struct{ components, resources, patches, edits []part }

// ownOf is what the cluster's file says and then those parts of deltas.
func ownOf(c *fleet.Cluster, parts []part) *own {
	o := &own{}
	for i := range c.Resources {
		o.resources = append(o.resources, part{
			Part: fleet.Part{Field: field("spec.resources", i)}, line: c.Resources[i].Line, resource: &c.Resources[i],
		})
	}
	for i := range c.Patches {
		o.patches = append(o.patches, part{
			Part: fleet.Part{Field: field("spec.patches", i)}, line: c.Patches[i].Line, patch: &c.Patches[i],
		})
	}
	for _, p := range parts {
		switch {
		case p.component != "":
			o.components = append(o.components, p)
		case p.resource != nil:
			o.resources = append(o.resources, p)
		case p.patch != nil:
			o.patches = append(o.patches, p)
		default:
			o.edits = append(o.edits, p)
		}
	}
	return o
}

// partsOf takes deltas apart, in their order.
func partsOf(deltas []*fleet.Delta) []part {
	var parts []part
	for _, d := range deltas {
		id := d.ID()
		add := func(list string, i int, p part) {
			p.Part, p.order = fleet.Part{Delta: id, Field: field(list, i)}, len(parts)
			parts = append(parts, p)
		}
		for i, component := range d.Components {
			add("components", i, part{component: component})
		}
		for i, text := range d.Resources {
			add("resources", i, part{resource: &fleet.Resource{YAML: string(text), JSON: true}})
		}
		for i := range d.Patches {
			add("patches", i, part{patch: &d.Patches[i]})
		}
		for i := range d.Edits {
			add("edits", i, part{edit: &d.Edits[i]})
		}
	}
	return parts
}

func field(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// text is the resource as kustomize is to read it: JSON in a form that is YAML.
func (p *part) text() (string, error) {
	if !p.resource.JSON {
		return p.resource.YAML, nil
	}
	text, err := blockStyle([]byte(p.resource.YAML))
	return string(text), err
}
