package render

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// StrategicMerge implements fleet.Repo: kustomize's strategic merge of a patch,
// YAML or JSON, into the object. Lists of kinds that kustomize has a schema of
// merge by their keys, other lists are replaced. The patch need not say what the
// object is called, and must not say otherwise; nor may it take the object away.
// Errors are Problems.
func (r *Repo) StrategicMerge(o fleet.Object, text []byte) (merged []byte, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			merged, err = nil, fleet.Problems{panicked("", reason)}
		}
	}()
	d, problems := parseOne(text)
	if problems != nil {
		return nil, problems
	}
	whole := d.complete(o)
	if len(d.problems) > 0 {
		return nil, d.problems.Sort()
	}
	if merged, err = r.strategic(o, whole); err != nil {
		return nil, fleet.Problems{{Message: plain(err)}}
	}
	return merged, nil
}

// strategic builds the object with a patch that says what it is called.
func (r *Repo) strategic(o fleet.Object, whole string) ([]byte, error) {
	before, err := decodeJSON(o.JSON)
	if err != nil {
		return nil, err
	}
	p, err := readPatch(fleet.Patch{Patch: whole}, r.texts)
	if err != nil {
		return nil, err
	}
	if len(p.merges) != 1 {
		return nil, errors.New("must be the patch of one object")
	}
	text, err := blockStyle(o.JSON)
	if err != nil {
		return nil, err
	}
	built, err := r.wholly(&stack{built: &built{texts: [][]byte{text}}}, nil, []*patch{p})
	if err != nil {
		return nil, err
	}
	name := title(p.merges[0].id)
	if len(built) != 1 {
		return nil, fmt.Errorf("takes %s away; to do that, DELETE the object", name)
	}
	after := built[0]
	if changed := identityChange(before, after.values()); changed != "" {
		return nil, fmt.Errorf("must not change %s of %s, which makes it another object", changed, name)
	}
	if at := directiveIn(after.values()); at != "" {
		return nil, fmt.Errorf("%s: %s", at, leftStanding)
	}
	return after.json(), nil
}

// complete returns the patch as text with what the object is called, and notes
// where it says otherwise.
func (d *document) complete(o fleet.Object) string {
	node := kyaml.NewRNode(d.root).Copy()
	if err := node.DeAnchor(); err != nil {
		d.problem("", "%v", err)
		return ""
	}
	root := node.YNode()
	if root.Kind != yaml.MappingNode {
		d.problem("", "must be a mapping of keys to values, is %s", describe(root))
		return ""
	}
	d.agree(root, "", "apiVersion", o.APIVersion)
	d.agree(root, "", "kind", o.Kind)
	meta := child(root, "metadata")
	if meta == nil {
		meta = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: root.Style}
		insert(root, "metadata", meta)
	}
	if meta.Kind != yaml.MappingNode {
		d.problem("metadata", "must be a mapping: the object's name is in it")
		return ""
	}
	d.agree(meta, "metadata", "name", o.Name)
	d.agree(meta, "metadata", "namespace", o.Namespace)
	text, err := node.String()
	if err != nil {
		d.problem("", "%v", err)
	}
	return text
}

// agree fills in a field of a mapping, or checks that it is what it must be.
func (d *document) agree(n *yaml.Node, path, key, want string) {
	value := child(n, key)
	switch {
	case value == nil && want != "":
		insert(n, key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: want})
	case value != nil && (value.Kind != yaml.ScalarNode || value.Value != want):
		d.lines[join(path, key)] = value.Line
		d.problem(join(path, key), "the object has %q here, and a patch must not change what its object is called", want)
	}
}

func insert(n *yaml.Node, key string, value *yaml.Node) {
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	n.Content = append(n.Content, name, value)
}
