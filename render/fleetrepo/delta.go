package fleetrepo

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/patch"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// maxReason limits a delta's reason, in bytes: every list of deltas shows it.
const maxReason = 1 << 10

// ReadDelta reads a delta, YAML or JSON. Resources and merge patches come out as JSON in
// kustomize's reading of scalars, keys sorted, and everything in a form that ReadDelta
// reads as the same again. The caller limits the size of the document. The error is
// fleet.Problems.
func ReadDelta(text []byte) (*fleet.Delta, error) {
	var doc deltaDocument
	if err := readOne(text, &doc, doc.check); err != nil {
		return nil, err
	}
	return doc.delta(), nil
}

// ReadObject reads a whole object as ReadDelta reads a resource.
func ReadObject(text []byte) (json.RawMessage, error) {
	var object plainObject
	check := func(d *document) {
		if len(d.problems) == 0 {
			object.check(d, "")
		}
	}
	if err := readOne(text, &object, check); err != nil {
		return nil, err
	}
	return object.json, nil
}

// ReadDeclaration reads a cluster that is declared through the API, and its name. The
// error is fleet.Problems.
func ReadDeclaration(text []byte) (string, *fleet.Declaration, error) {
	var doc declarationDocument
	if err := readOne(text, &doc, doc.check); err != nil {
		return "", nil, err
	}
	return doc.Name, doc.declaration(), nil
}

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

// declarationDocument has the fields of a cluster file without its nesting.
type declarationDocument struct {
	Name       string            `json:"name"`
	DNS        string            `json:"dns"`
	Labels     map[string]string `json:"labels"`
	Overlay    string            `json:"overlay"`
	Components []string          `json:"components"`
	Resources  []plainObject     `json:"resources"`
	Patches    []patchDocument   `json:"patches"`
}

// patchDocument is an entry of kustomization.yaml's `patches`.
type patchDocument struct {
	Path    string              `json:"path"`
	Patch   string              `json:"patch"`
	Target  *fleet.Target       `json:"target"`
	Options *fleet.PatchOptions `json:"options"`
}

type editDocument struct {
	Group     string      `json:"group"`
	Kind      string      `json:"kind"`
	Namespace string      `json:"namespace"`
	Name      string      `json:"name"`
	Patch     plainObject `json:"patch"`
}

// moment is a time in the form of RFC 3339. It is kept in UTC, so that equal times are
// written the same.
type moment struct{ time.Time }

func (m *moment) decodeNode(d *document, path string, n *yaml.Node) {
	switch err := m.UnmarshalText([]byte(n.Value)); {
	case isNull(n):
		m.Time = time.Time{}
	case n.Kind != yaml.ScalarNode || err != nil:
		d.problem(path, "must be a time such as 2026-12-01T00:00:00Z (RFC 3339), is %s", describe(n))
	default:
		if m.Time = m.UTC(); m.Year() < 1970 || m.Year() > 9999 {
			d.problem(path, "must be between the years 1970 and 9999")
		}
	}
}

// plainObject is an object or a merge patch as JSON, in kustomize's reading of scalars.
type plainObject struct {
	given bool // possibly as null
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
		d.problem(path, "%s", kustomize.Message(err))
	}
}

func (c *deltaDocument) check(d *document) {
	c.checkScope(d)
	if parts := len(c.Components) + len(c.Resources) + len(c.Patches) + len(c.Edits); parts > maxParts {
		d.problem("", "has %d components, resources, patches and edits; a delta may have at most %d, and what many clusters share belongs in a component", parts, maxParts)
		return // checking them would take long
	}
	checkComponents(d, c.Components)
	checkParts(d, c.Resources, c.Patches)
	for i, e := range c.Edits {
		e.check(d, FieldIndex("edits", i))
	}
	if len(c.Reason) > maxReason {
		d.problem("reason", "has %d bytes; it may have at most %d", len(c.Reason), maxReason)
	}
}

// checkScope checks which clusters the delta is for. A document may leave that out where
// the request says it.
func (c *deltaDocument) checkScope(d *document) {
	if c.Name != "" && !isDNSLabel(c.Name) {
		d.problem("name", dnsLabel, c.Name)
	}
	if c.Cluster != "" && !isDNSLabel(c.Cluster) {
		d.problem("cluster", dnsLabel, c.Cluster)
	}
	for i, name := range c.Clusters {
		if !isDNSLabel(name) {
			d.problem(FieldIndex("clusters", i), dnsLabel, name)
		} else if first := slices.Index(c.Clusters, name); first < i {
			d.problem(FieldIndex("clusters", i), "%q is in %s already; remove one", name, FieldIndex("clusters", first))
		}
	}
	c.checkSelector(d)
	switch given := c.Selector != nil; {
	case c.Cluster != "" && c.Name != "":
		d.problem("cluster", "a delta has a name or belongs to one cluster, not both")
	case c.Cluster != "":
		c.checkOwn(d)
	case given && len(c.Clusters) > 0:
		d.problem("clusters", "a delta names its clusters with selector or with clusters, not with both")
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
		d.problem("priority", "a cluster's own delta always comes after all named ones; remove this")
	}
}

// checkSelector compiles each requirement on its own, to find which is wrong.
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
		compileSelector(d, FieldIndex("selector.matchExpressions", i), one)
	}
}

func (c *declarationDocument) check(d *document) {
	if !isDNSLabel(c.Name) {
		d.problem("name", dnsLabel, c.Name)
	}
	checkDNS(d, "dns", c.DNS)
	if len(c.Labels) > fleet.MaxLabels {
		d.problem("labels", "has %d labels; a cluster may have at most %d", len(c.Labels), fleet.MaxLabels)
	}
	checkLabels(d, "labels", c.Labels)
	if n := len(c.Components) + len(c.Resources) + len(c.Patches); n > maxParts {
		d.problem("", "has %d components, resources and patches; a cluster may have at most %d, and what many clusters share belongs in a component", n, maxParts)
		return
	}
	if c.Overlay != "" {
		clean, inside := kustomize.InTree(".", c.Overlay)
		if !inside {
			d.problem("overlay", "%s", kustomize.Outside(c.Overlay))
		}
		c.Overlay = clean
	}
	checkComponents(d, c.Components)
	checkParts(d, c.Resources, c.Patches)
}

// checkComponents cleans the paths. Each release checks whether the directories exist.
func checkComponents(d *document, components []string) {
	for i, dir := range components {
		clean, inside := kustomize.InTree(".", dir)
		switch at := FieldIndex("components", i); {
		case dir == "":
			d.problem(at, "must name the directory of a component")
		case !inside:
			d.problem(at, "%s", kustomize.Outside(dir))
		case slices.Contains(components[:i], clean):
			d.problem(at, "%q is already in the list; remove one", dir)
		}
		components[i] = clean
	}
}

func checkParts(d *document, resources []plainObject, patches []patchDocument) {
	for i, r := range resources {
		r.check(d, FieldIndex("resources", i))
	}
	for i, p := range patches {
		p.check(d, FieldIndex("patches", i))
	}
}

// check checks that it is one whole object, for kustomize as well.
func (o *plainObject) check(d *document, path string) {
	if o.value == nil {
		d.problem(path, "must be a whole object")
		return
	}
	for _, part := range []FieldPath{{"apiVersion"}, {"kind"}, {"metadata", "name"}} {
		value, _ := part.Lookup(o.value)
		if text, ok := value.(string); !ok || text == "" {
			d.problem(FieldName(path, strings.Join(part, ".")), "must be a string that is not empty")
			return
		}
	}
	if _, list := o.value["items"]; list && strings.HasSuffix(o.value["kind"].(string), "List") {
		d.problem(path, "is a list of objects; give each object an entry of its own")
		return
	}
	text, err := kustomize.BlockStyle(o.json)
	if err == nil {
		_, err = kustomize.ReadResources(text)
	}
	if err != nil {
		d.problem(path, "%s", kustomize.Message(err))
	}
}

// check checks a delta's patch as far as possible without the objects: which kind of
// patch it is, and that kustomize can read it.
func (p patchDocument) check(d *document, path string) {
	switch wrong := yamltext.CheckShape(p.Patch); {
	case p.Path != "":
		d.problem(path+".path", "is not supported; write the patch in this document, under patch")
	case strings.TrimSpace(p.Patch) == "":
		d.problem(path+".patch", "must be a strategic merge patch or a JSON patch")
	case wrong != "":
		d.problem(path+".patch", "%s", wrong)
	default:
		if _, err := patch.Read(p.patch()); err != nil {
			d.problem(path, "%s", kustomize.Message(err))
		}
	}
}

func (e *editDocument) check(d *document, path string) {
	if e.Kind == "" {
		d.problem(path+".kind", "must be the kind of the object")
	}
	if e.Name == "" {
		d.problem(path+".name", "must be the name of the object")
	}
	if !e.Patch.given {
		d.problem(path+".patch", "must be a merge patch, or null to delete the object")
	}
	if e.Kind == "" || e.Name == "" {
		return
	}
	edit := e.edit()
	patch.CheckEdit(&edit, e.Patch.value, func(at, message string) {
		d.problem(path+".patch."+at, "%s", message)
	})
}

// delta returns the document as a delta. Empty lists and mappings become nil, as they do
// when they are stored.
func (c *deltaDocument) delta() *fleet.Delta {
	out := &fleet.Delta{
		Name: c.Name, Cluster: c.Cluster, Scope: fleet.Scope{Clusters: c.Clusters, Selector: c.Selector}, Priority: c.Priority,
		Components: c.Components, Resources: rawObjects(c.Resources), Patches: patchesOf(c.Patches), Reason: c.Reason,
	}
	if s := out.Selector; s != nil && len(s.MatchLabels) == 0 {
		s.MatchLabels = nil
	}
	for _, e := range c.Edits {
		out.Edits = append(out.Edits, e.edit())
	}
	if !c.ExpiresAt.IsZero() {
		at := c.ExpiresAt.Time
		out.ExpiresAt = &at
	}
	return out
}

func (c *declarationDocument) declaration() *fleet.Declaration {
	return &fleet.Declaration{
		DNS: c.DNS, Labels: c.Labels, Overlay: c.Overlay, Components: c.Components,
		Resources: rawObjects(c.Resources), Patches: patchesOf(c.Patches),
	}
}

func rawObjects(objects []plainObject) (out []json.RawMessage) {
	for _, o := range objects {
		out = append(out, o.json)
	}
	return out
}

func patchesOf(documents []patchDocument) (out []fleet.Patch) {
	for _, p := range documents {
		out = append(out, p.patch())
	}
	return out
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
