package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxReason bounds a delta's reason, in bytes: it stands in every listing.
const maxReason = 1 << 10

// deltaDocument is a delta as it is written.
type deltaDocument struct {
	Name       string          `json:"name"`
	Cluster    string          `json:"cluster"`
	Selector   *fleet.Selector `json:"selector"`
	Clusters   []string        `json:"clusters"`
	Priority   int             `json:"priority"`
	Components []string        `json:"components"`
	Resources  []plainObject   `json:"resources"`
	Patches    []patchDocument `json:"patches"`
	Edits      []editDocument  `json:"edits"`
	Reason     string          `json:"reason"`
	ExpiresAt  moment          `json:"expiresAt"`
}

// editDocument is one of a delta's edits.
type editDocument struct {
	Group     string      `json:"group"`
	Kind      string      `json:"kind"`
	Namespace string      `json:"namespace"`
	Name      string      `json:"name"`
	Patch     plainObject `json:"patch"`
}

// moment is a time as RFC 3339 writes it. That it is UTC makes equal ones the same.
type moment struct{ time.Time }

func (m *moment) decodeNode(d *document, path string, n *yaml.Node) {
	switch err := m.UnmarshalText([]byte(n.Value)); {
	case isNull(n):
		m.Time = time.Time{}
	case n.Kind != yaml.ScalarNode || err != nil:
		d.problem(path, "must be a time as in 2026-12-01T00:00:00Z (RFC 3339), is %s", describe(n))
	default:
		if m.Time = m.UTC(); m.Year() < 1970 || m.Year() > 9999 {
			d.problem(path, "must be between the years 1970 and 9999")
		}
	}
}

// plainObject is an object or a merge patch as JSON, in kustomize's reading.
type plainObject struct {
	given bool // be it as null
	value map[string]any
	json  []byte
}

func (o *plainObject) decodeNode(d *document, path string, n *yaml.Node) {
	o.given = true
	if isNull(n) {
		o.json = []byte("null")
		return
	}
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be a mapping of keys to values, is %s", describe(n))
		return
	}
	var err error
	if o.value, o.json, err = plainJSON(n); err != nil {
		d.problem(path, "%s", plain(err))
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (c *deltaDocument) check(d *document) {
	c.checkScope(d)
	if parts := len(c.Components) + len(c.Resources) + len(c.Patches) + len(c.Edits); parts > maxOwn {
		d.problem("", "has %d components, resources, patches and edits; one delta may have %d: what many clusters share belongs in a component", parts, maxOwn)
		return // they would take long to check
	}
	checkComponents(d, c.Components)
	for i, r := range c.Resources {
		r.checkObject(d, field("resources", i))
	}
	for i, p := range c.Patches {
		p.checkDelta(d, field("patches", i))
	}
	for i, e := range c.Edits {
		e.check(d, field("edits", i))
	}
	if len(c.Reason) > maxReason {
		d.problem("reason", "has %d bytes; at most %d are kept", len(c.Reason), maxReason)
	}
}

// checkScope checks whose delta it is. Where it does not say, who asked for it
// knows.
func (c *deltaDocument) checkScope(d *document) {
	const label = "%q must be a DNS-1123 label: lower case letters, digits and -, at most 63"
	if c.Name != "" && !isDNSLabel(c.Name) {
		d.problem("name", label, c.Name)
	}
	if c.Cluster != "" && !isDNSLabel(c.Cluster) {
		d.problem("cluster", label, c.Cluster)
	}
	for i, name := range c.Clusters {
		if !isDNSLabel(name) {
			d.problem(field("clusters", i), label, name)
		} else if first := slices.Index(c.Clusters, name); first < i {
			d.problem(field("clusters", i), "%q stands here again, first in %s; remove one", name, field("clusters", first))
		}
	}
	c.checkSelector(d)
	switch given := c.Selector != nil; {
	case c.Cluster != "" && c.Name != "":
		d.problem("cluster", "a delta has a name, or is a cluster's own; it cannot be both")
	case c.Cluster != "":
		c.checkOwn(d)
	case given && len(c.Clusters) > 0:
		d.problem("clusters", "a delta says which clusters it is for with selector or with clusters, not with both")
	case c.Name != "" && !given && len(c.Clusters) == 0:
		d.problem("selector", "a named delta must say which clusters it is for, with selector or with clusters")
	}
}

// checkOwn refuses what a cluster's own delta cannot have.
func (c *deltaDocument) checkOwn(d *document) {
	if c.Selector != nil {
		d.problem("selector", "a cluster's own delta is for that cluster; remove this")
	}
	if len(c.Clusters) > 0 {
		d.problem("clusters", "a cluster's own delta is for that cluster; remove this")
	}
	if c.Priority != 0 {
		d.problem("priority", "a cluster's own delta comes after all named ones; remove this")
	}
}

// checkSelector compiles each requirement for itself, to say which is wrong.
func (c *deltaDocument) checkSelector(d *document) {
	if c.Selector == nil {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(c.Selector.MatchLabels)) {
		one := fleet.Selector{MatchLabels: map[string]string{key: c.Selector.MatchLabels[key]}}
		compileSelector(d, "selector.matchLabels."+key, one)
	}
	for i, e := range c.Selector.MatchExpressions {
		one := fleet.Selector{MatchExpressions: []fleet.SelectorRequirement{e}}
		compileSelector(d, field("selector.matchExpressions", i), one)
	}
}

// checkComponents cleans the paths. Whether there are such directories is for
// each release to say.
func checkComponents(d *document, components []string) {
	for i, dir := range components {
		clean, inside := inTree(".", dir)
		switch {
		case dir == "":
			d.problem(field("components", i), "must name the directory of a component")
		case !inside:
			d.problem(field("components", i), "%s", outside(dir))
		case slices.Contains(components[:i], clean):
			d.problem(field("components", i), "%q stands here again; remove one", dir)
		}
		components[i] = clean
	}
}

// checkObject checks that it is one whole object, to kustomize as well.
func (o *plainObject) checkObject(d *document, path string) {
	if o.value == nil {
		d.problem(path, "must be a whole object")
		return
	}
	for _, part := range []fieldPath{{"apiVersion"}, {"kind"}, {"metadata", "name"}} {
		if text, _ := part.lookup(o.value); text == nil || text == "" || !isString(text) {
			d.problem(join(path, strings.Join(part, ".")), "must be a string and not empty")
			return
		}
	}
	if _, list := o.value["items"]; list && strings.HasSuffix(o.value["kind"].(string), "List") {
		d.problem(path, "is a list of objects; give each an entry of its own")
		return
	}
	err := withKustomize(func() error {
		text, err := blockStyle(o.json)
		if err != nil {
			return err
		}
		_, err = newResources().NewResMapFromBytes(text)
		return err
	})
	if err != nil {
		d.problem(path, "%s", plain(err))
	}
}

// checkDelta checks a patch of a delta as far as that can be done without the
// objects: what it is, and that kustomize can read it.
func (p patchDocument) checkDelta(d *document, path string) {
	switch wrong := shapeOf(p.Patch); {
	case p.Path != "":
		d.problem(path+".path", "a delta's patches stand in it; use patch")
	case strings.TrimSpace(p.Patch) == "":
		d.problem(path+".patch", "must hold a strategic merge patch or a JSON patch")
	case wrong != "":
		d.problem(path+".patch", "%s", wrong)
	default:
		if _, err := readPatch(p.patch(), &memo{}); err != nil {
			d.problem(path, "%s", plain(err))
		}
	}
}

func (p patchDocument) patch() fleet.Patch {
	out := fleet.Patch{Patch: p.Patch, Target: p.Target}
	if p.Options != nil {
		out.Options = *p.Options
	}
	return out
}

func (e *editDocument) edit() fleet.Edit {
	return fleet.Edit{Group: e.Group, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name, Patch: e.Patch.json}
}

func (e *editDocument) check(d *document, path string) {
	if e.Kind == "" {
		d.problem(path+".kind", "must name the kind of the object")
	}
	if e.Name == "" {
		d.problem(path+".name", "must name the object")
	}
	if !e.Patch.given {
		d.problem(path+".patch", "must be a merge patch, or null to take the object away")
	}
	if e.Kind == "" || e.Name == "" {
		return
	}
	edit := e.edit()
	checkEdit(&edit, e.Patch.value, func(at, message string) {
		d.problem(fmt.Sprintf("%s.patch.%s", path, at), "%s", message)
	})
}
