package render

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// place is where a cluster is placed, with what tells one from another.
type place struct {
	fleet.Placement
	key string
}

func placeOf(p fleet.Placement) *place {
	return &place{p, p.Overlay + "\x00" + strings.Join(p.Components, "\x00")}
}

// place applies the placement rules to a cluster.
func (r *Repo) place(c *fleet.Cluster) (*place, *fleet.Problem) {
	if known := r.places[c]; known != nil {
		return known, nil
	}
	var p fleet.Placement
	for _, rule := range r.placement {
		if rule.selector == nil || !rule.selector.Matches(labels.Set(c.Labels)) {
			continue
		}
		if rule.Overlay != "" {
			p.Overlay = rule.Overlay
		}
		p.Components = append(p.Components, rule.Components...)
	}
	if c.Overlay != "" {
		p.Overlay = c.Overlay
	}
	p.Components = firstMentions(append(p.Components, c.Components...))
	if p.Overlay == "" {
		return nil, &fleet.Problem{File: c.File, Line: c.Line, Field: "spec.overlay", Message: fmt.Sprintf(
			"no rule of spec.placement in fleet.yaml gives cluster %q with labels %s an overlay; add a rule, a label, or an overlay here",
			c.Name, labels.Set(c.Labels))}
	}
	return placeOf(p), nil
}

// with is the place with more components.
func (p *place) with(components []part) *place {
	if len(components) == 0 {
		return p
	}
	more := fleet.Placement{Overlay: p.Overlay, Components: slices.Clone(p.Components)}
	for _, c := range components {
		more.Components = append(more.Components, c.component)
	}
	more.Components = firstMentions(more.Components)
	return placeOf(more)
}

func firstMentions(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
