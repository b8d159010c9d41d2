package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/kustomize"
)

// part is one thing that a cluster has on top of its placement, from its file (Delta is
// empty) or from a delta. One of component, resource, patch and edit is set.
type part struct {
	fleet.Part
	line      int // in the cluster's file
	order     int // among the parts of all deltas
	component string
	resource  *fleet.Resource
	patch     *fleet.Patch
	edit      *fleet.Edit
}

// problem is a problem of the part, located where its author finds it.
func (p *part) problem(c *fleet.Cluster, err error) fleet.Problem {
	out := fleet.Problem{Cluster: c.Name, Delta: p.Delta, Field: p.Field, Message: kustomize.Message(err)}
	if p.Delta == "" {
		out.File, out.Line = c.File, p.line
	}
	return out
}

// resourceYAML returns a resource as text for kustomize. JSON is converted to a form that
// means the same as YAML.
func (p *part) resourceYAML() (string, error) {
	if !p.resource.JSON {
		return p.resource.YAML, nil
	}
	text, err := kustomize.BlockStyle([]byte(p.resource.YAML))
	return string(text), err
}

// clusterParts is what a cluster has on top of its placement, in the order in which it
// applies. The placement includes the components of its file.
type clusterParts struct{ components, resources, patches, edits []part }

// partsOf returns what the cluster's file says, followed by parts of deltas.
func partsOf(c *fleet.Cluster, ofDeltas []part) *clusterParts {
	out := &clusterParts{}
	for i := range c.Resources {
		out.resources = append(out.resources, part{
			Part: fleet.Part{Field: fleetrepo.FieldIndex("spec.resources", i)}, line: c.Resources[i].Line, resource: &c.Resources[i],
		})
	}
	for i := range c.Patches {
		out.patches = append(out.patches, part{
			Part: fleet.Part{Field: fleetrepo.FieldIndex("spec.patches", i)}, line: c.Patches[i].Line, patch: &c.Patches[i],
		})
	}
	for _, p := range ofDeltas {
		switch {
		case p.component != "":
			out.components = append(out.components, p)
		case p.resource != nil:
			out.resources = append(out.resources, p)
		case p.patch != nil:
			out.patches = append(out.patches, p)
		default:
			out.edits = append(out.edits, p)
		}
	}
	return out
}

// deltaParts returns the parts of deltas in order.
func deltaParts(deltas []*fleet.Delta) []part {
	var parts []part
	for _, d := range deltas {
		id := d.ID()
		add := func(list string, i int, p part) {
			p.Part, p.order = fleet.Part{Delta: id, Field: fleetrepo.FieldIndex(list, i)}, len(parts)
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

// outcome is the result of a rendering. The rendering is nil if there are faults.
type outcome struct {
	rendering *fleet.Rendering
	problems  fleet.Problems
}

// partSelection finds which parts of deltas a cluster can have. A delta must not break a
// cluster because the base has changed under it. So parts that would are left out as
// stale, and all others are kept.
//
// A part is kept if the cluster has no fault with it that it does not have without it.
// Parts may need each other, such as a resource and the patch that makes it satisfy its
// schema, in any order. So many are tried together, and fewer only if those do not fit.
// That takes about four renderings for each part if none fits, and five in all if the
// faults name the parts that do not fit.
type partSelection struct {
	render   func(parts []part) outcome
	kept     []part
	result   outcome // of the parts that are kept
	rejected []part
}

// isolateStale returns the rendering with all parts that fit. The others are its stale
// parts.
func (s *partSelection) isolateStale(parts []part) outcome {
	s.result = s.render(nil)
	s.keepFitting(parts)
	var stale []fleet.StalePart
	slices.SortFunc(s.rejected, func(a, b part) int { return cmp.Compare(a.order, b.order) })
	for _, p := range s.rejected { // once more, now that all others are there
		if faults := s.keepIfFits([]part{p}); len(faults) > 0 {
			stale = append(stale, fleet.StalePart{Part: p.Part, Reason: staleReason(p, faults)})
		}
	}
	if s.result.rendering != nil {
		s.result.rendering.Stale = stale
	}
	return s.result
}

// keepFitting keeps what it can of a group: all of it, or all except the parts that the
// faults name, or else what fits of each delta, and at last of each part.
func (s *partSelection) keepFitting(group []part) {
	for len(group) > 0 {
		faults := s.keepIfFits(group)
		if len(faults) == 0 {
			return
		}
		isNamed := func(p part) bool {
			return slices.ContainsFunc(faults, func(f fleet.Problem) bool { return f.Delta == p.Delta && f.Field == p.Field })
		}
		rest := slices.DeleteFunc(slices.Clone(group), isNamed)
		if len(rest) == len(group) {
			break
		}
		for _, p := range group {
			if isNamed(p) {
				s.rejected = append(s.rejected, p)
			}
		}
		group = rest
	}
	if len(group) < 2 {
		s.rejected = append(s.rejected, group...)
		return
	}
	for _, smaller := range divide(group) {
		s.keepFitting(smaller)
	}
}

// keepIfFits keeps the parts if they fit, and otherwise returns the faults that only
// exist with them.
func (s *partSelection) keepIfFits(parts []part) fleet.Problems {
	all := append(slices.Clone(s.kept), parts...)
	slices.SortFunc(all, func(a, b part) int { return cmp.Compare(a.order, b.order) })
	with := s.render(all)
	faults := slices.DeleteFunc(with.problems.Faults(), func(f fleet.Problem) bool {
		return slices.ContainsFunc(s.result.problems, func(known fleet.Problem) bool { return isSameFault(f, known) })
	})
	if len(faults) == 0 {
		s.kept, s.result = all, with
	}
	return faults
}

// isSameFault ignores the file: the faults of an object that a part changes are reported
// for the cluster and not for the file that the object comes from.
func isSameFault(a, b fleet.Problem) bool {
	return !b.Warning && a.Delta == b.Delta && a.Field == b.Field && a.Message == b.Message
}

// divide splits parts of several deltas by delta, and parts of one delta into single
// parts.
func divide(group []part) [][]part {
	several := group[0].Delta != group[len(group)-1].Delta
	var out [][]part
	for i, p := range group {
		if several && i > 0 && p.Delta == group[i-1].Delta {
			out[len(out)-1] = append(out[len(out)-1], p)
		} else {
			out = append(out, []part{p})
		}
	}
	return out
}

// maxReasons is how many faults are given as the reason for a stale part.
const maxReasons = 3

// staleReason says why a part does not fit.
func staleReason(p part, faults fleet.Problems) string {
	var lines []string
	for _, f := range faults.Sort() {
		if f.Delta == p.Delta && f.Field == p.Field {
			f.Field = "" // the stale part has it
		}
		if f.Cluster != "" {
			f.File, f.Line = "", 0 // the part is to blame, not the cluster's file
		}
		f.Cluster, f.Delta = "", ""
		lines = append(lines, f.String())
	}
	if more := len(lines) - maxReasons; more > 0 {
		lines = append(lines[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
