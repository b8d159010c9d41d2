package render

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

const (
	apiVersion = "tributary/v1alpha1"
	fleetFile  = "fleet.yaml"
)

// typeMeta and objectMeta are the head of both kinds that Tributary reserves.
type typeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// check notes where the head is not the one of kind.
func (t typeMeta) check(d *document, kind string) {
	if t.APIVersion != apiVersion {
		d.problem("apiVersion", "must be %s", apiVersion)
	}
	if t.Kind != kind {
		d.problem("kind", "must be %s", kind)
	}
}

type fleetDocument struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Inputs    []inputSet `json:"inputs"`
		Placement []rule     `json:"placement"`
		Guard     guard      `json:"guard"`
		Rollout   rollout    `json:"rollout"`
	} `json:"spec"`
}

// inputSet is one entry of spec.inputs: which objects, and how each becomes an input.
type inputSet struct {
	Name         string            `json:"name"`
	APIVersion   string            `json:"apiVersion"`
	Kind         string            `json:"kind"`
	Selector     *fleet.Selector   `json:"selector"`
	ID           pathList          `json:"id"`
	Fields       map[string]string `json:"fields"`
	Defaults     values            `json:"defaults"`
	Schema       string            `json:"schema"`
	AllowEmpty   bool              `json:"allowEmpty"`
	AllowSecrets bool              `json:"allowSecrets"`

	line     int
	selector labels.Selector
	id       []fieldPath
	fields   map[string]fieldPath
	schema   *schema // nil where the set has none
}

// rule is one entry of spec.placement.
type rule struct {
	Selector   fleet.Selector `json:"selector"`
	Overlay    string         `json:"overlay"`
	Components []string       `json:"components"`

	selector labels.Selector
	absent   []absence
}

// absence is a directory that a rule names and the tree does not have.
type absence struct {
	dir     string
	problem fleet.Problem
}

// pathList is one field path or a list of them.
type pathList []string

func (p *pathList) decodeNode(d *document, path string, n *yaml.Node) {
	var list []string
	if n.Kind == yaml.ScalarNode {
		list = []string{n.Value}
	} else if err := n.Decode(&list); err != nil {
		d.problem(path, "must be a field path or a list of field paths, is %s", describe(n))
	}
	*p = list
}

// values are whatever keys and values the author likes.
type values map[string]any

func (v *values) decodeNode(d *document, path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be a mapping of keys to values, is %s", describe(n))
		return
	}
	var err error
	if *v, err = valueOf(n); err != nil {
		d.problem(path, "%v", err)
	}
}

// readFleet reads fleet.yaml; the document is nil where nothing can be made of it.
func readFleet(tree fs.FS) (*fleetDocument, fleet.Problems) {
	data, err := readBounded(tree, fleetFile)
	if err != nil {
		return nil, fleet.Problems{{File: fleetFile, Message: missing(err,
			"a fleet repo has it at its root: apiVersion: "+apiVersion+", kind: Fleet")}}
	}
	docs, problems := parseDocuments(fleetFile, data)
	if problems != nil {
		return nil, problems
	}
	if len(docs) != 1 {
		return nil, fleet.Problems{{File: fleetFile, Message: fmt.Sprintf("must hold one document, holds %d", len(docs))}}
	}
	d, f := docs[0], &fleetDocument{}
	f.Spec.Guard = guard(fleet.DefaultGuard()) // for the fields that it does not have
	d.decode(f)
	f.check(d, tree)
	return f, d.problems
}

func (f *fleetDocument) check(d *document, tree fs.FS) {
	typeMeta{f.APIVersion, f.Kind}.check(d, "Fleet")
	if f.Metadata.Name == "" {
		d.problem("metadata.name", "must name the fleet")
	}
	if len(f.Spec.Inputs) == 0 {
		d.problem("spec.inputs", "must have at least one input set, or there is nothing to serve")
	}
	seen := map[string]bool{}
	for i := range f.Spec.Inputs {
		set, path := &f.Spec.Inputs[i], fmt.Sprintf("spec.inputs[%d]", i)
		set.line = d.line(path)
		set.check(d, path, tree)
		if seen[set.Name] {
			d.problem(path+".name", "%q names an input set already; each needs a name of its own", set.Name)
		}
		seen[set.Name] = true
	}
	for i := range f.Spec.Placement {
		f.Spec.Placement[i].check(d, fmt.Sprintf("spec.placement[%d]", i), tree)
	}
	f.Spec.Rollout.check(d, "spec.rollout.waves")
}

func (s *inputSet) check(d *document, path string, tree fs.FS) {
	if !isDNSLabel(s.Name) {
		d.problem(path+".name", "%q must be a DNS-1123 label: it stands in the set's URL", s.Name)
	}
	if s.Kind == "" && s.Selector == nil {
		d.problem(path+".kind", "must choose objects by kind, by selector, or both")
	}
	if s.Kind == "" && len(s.ID) == 0 {
		d.problem(path+".id", "is required where several kinds meet, such as [kind, metadata.namespace, metadata.name]")
	}
	if s.Selector != nil {
		s.selector = compileSelector(d, path+".selector", *s.Selector)
	}
	if len(s.ID) == 0 {
		s.ID = pathList{"metadata.name"}
	}
	for i, text := range s.ID {
		s.id = append(s.id, parsePath(d, fmt.Sprintf("%s.id[%d]", path, i), text))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Fields)) {
		checkReserved(d, path+".fields", key)
		if s.fields == nil {
			s.fields = map[string]fieldPath{}
		}
		s.fields[key] = parsePath(d, path+".fields."+key, s.Fields[key])
	}
	for _, key := range slices.Sorted(maps.Keys(s.Defaults)) {
		checkReserved(d, path+".defaults", key)
	}
	if s.Schema != "" {
		var err error
		if s.schema, err = loadSchema(tree, s.Schema); err != nil {
			d.problem(path+".schema", "%v", err)
		}
	}
}

func (r *rule) check(d *document, path string, tree fs.FS) {
	r.selector = compileSelector(d, path+".selector", r.Selector)
	if r.Overlay == "" && len(r.Components) == 0 {
		d.problem(path, "must name an overlay, components, or both")
	}
	r.absent = checkPlacement(d, path, tree, &r.Overlay, r.Components)
}

// checkPlacement cleans the directories of an overlay and components, and notes
// and returns those that do not exist.
func checkPlacement(d *document, path string, tree fs.FS, overlay *string, components []string) (absent []absence) {
	check := func(field string, dir *string) {
		told := len(d.problems)
		*dir = checkDirectory(d, field, tree, *dir)
		for _, p := range d.problems[told:] {
			absent = append(absent, absence{*dir, p})
		}
	}
	if *overlay != "" {
		check(path+".overlay", overlay)
	}
	for i := range components {
		check(field(path+".components", i), &components[i])
	}
	return absent
}

func compileSelector(d *document, path string, s fleet.Selector) labels.Selector {
	compiled, err := s.Compile()
	if err != nil {
		d.problem(path, "%v", err)
		return labels.Nothing()
	}
	return compiled
}

// reserved are the keys of an input that are not the author's: Tributary sets
// two, and the operator overwrites the third.
var reserved = []string{"cluster", "id", "provider"}

func checkReserved(d *document, path, key string) {
	if slices.Contains(reserved, key) {
		d.problem(path+"."+key, "is reserved; give the field another name")
	}
}

func decodeJSON(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var m map[string]any
	err := dec.Decode(&m)
	return m, err
}
