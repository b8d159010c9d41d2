package fleetrepo

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

const (
	resourceSetsDir       = "resourcesets"
	resourceSetAPIVersion = "fluxcd.controlplane.io/v1"
	resourceSetKind       = "ResourceSet"
)

// resourceSetDocument is what Tributary must know of a ResourceSet, besides its providers.
// Flux Operator checks the rest more strictly than would be possible here.
type resourceSetDocument struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string   `json:"name"`
		Namespace   string   `json:"namespace"`
		Labels      anything `json:"labels"`
		Annotations anything `json:"annotations"`
	} `json:"metadata"`
	Spec anything `json:"spec"`
}

// anything is any value without repeated keys.
type anything struct{}

func (a anything) decodeNode(d *document, path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		d.eachKey(path, n, func(key string, _ int, child *yaml.Node) { a.decodeNode(d, FieldName(path, key), child) })
	case yaml.SequenceNode:
		for i, child := range n.Content {
			a.decodeNode(d, FieldIndex(path, i), child)
		}
	}
}

// ReadResourceSets reads the ResourceSets that turn inputs into objects in the clusters,
// sorted by namespace and name. Those with a problem are left out.
func ReadResourceSets(tree fs.FS) ([]fleet.Object, fleet.Problems) {
	var sets []fleet.Object
	first := map[string]string{} // file and line, by namespace and name
	problems := eachYAML(tree, resourceSetsDir, func(name string, _ fs.DirEntry) fleet.Problems {
		if kustomize.IsKustomization(path.Base(name)) {
			return nil // for kubectl apply -k
		}
		data, err := kustomize.ReadFile(tree, name)
		if err != nil {
			return fleet.Problems{kustomize.UnreadableFile(name, err, "is it a link?")}
		}
		docs, problems := parseDocuments(name, data)
		if len(docs)+len(problems) == 0 {
			return fleet.Problems{{File: name, Message: "has no ResourceSet; if that is intended, remove the file"}}
		}
		for _, d := range docs {
			set := d.resourceSet()
			key := set.Namespace + "/" + set.Name
			if there, taken := first[key]; taken && len(d.problems) == 0 {
				d.problem("metadata.name", "%q is already used by the ResourceSet at %s; each needs its own", set.Name, there)
			}
			problems = append(problems, d.problems...)
			if len(d.problems) == 0 {
				sets = append(sets, set)
				first[key] = fmt.Sprintf("%s:%d", name, d.root.Line)
			}
		}
		return problems
	})
	slices.SortFunc(sets, func(a, b fleet.Object) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return sets, problems
}

func (d *document) resourceSet() fleet.Object {
	var r resourceSetDocument
	d.decode(&r)
	if d.root.Kind != yaml.MappingNode {
		return fleet.Object{} // nothing more can be said about it
	}
	if r.APIVersion != resourceSetAPIVersion {
		d.problem("apiVersion", "must be %s", resourceSetAPIVersion)
	}
	if r.Kind != resourceSetKind {
		d.problem("kind", "must be %s, because nothing else belongs in this folder", resourceSetKind)
	}
	if len(validation.IsDNS1123Subdomain(r.Metadata.Name)) > 0 {
		d.problem("metadata.name", "%q must be a DNS-1123 subdomain: lower case letters, digits, - and .", r.Metadata.Name)
	}
	if r.Metadata.Namespace != "" && !isDNSLabel(r.Metadata.Namespace) {
		d.problem("metadata.namespace", "%q must be a DNS-1123 label, or left out", r.Metadata.Namespace)
	}
	set := fleet.Object{APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Metadata.Namespace, Name: r.Metadata.Name}
	if len(d.problems) > 0 {
		return set
	}
	value, err := yamltext.ValueOf(d.root)
	if err == nil {
		set.JSON, err = yamltext.EncodeJSON(value)
	}
	if err != nil {
		d.problem("", "%v", err)
	}
	CheckResourceSets(value, func(path, message string) { d.problem(path, "%s", message) })
	return set
}

// ReadObjectPatch reads a strategic merge patch of an object, YAML or JSON, and returns
// it as YAML with the object's identity. The patch may leave the identity out and must
// not contradict it. The error is fleet.Problems.
func ReadObjectPatch(o fleet.Object, text []byte) (string, error) {
	d, problems := parseOne(text)
	if problems != nil {
		return "", problems
	}
	complete := d.addIdentity(o)
	if len(d.problems) > 0 {
		return "", d.problems.Sort()
	}
	return complete, nil
}

func (d *document) addIdentity(o fleet.Object) string {
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
	d.fillIn(root, "apiVersion", "apiVersion", o.APIVersion)
	d.fillIn(root, "kind", "kind", o.Kind)
	meta := yamltext.Child(root, "metadata")
	if meta == nil {
		meta = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: root.Style}
		insert(root, "metadata", meta)
	}
	if meta.Kind != yaml.MappingNode {
		d.problem("metadata", "must be a mapping, because it has the object's name")
		return ""
	}
	d.fillIn(meta, "name", "metadata.name", o.Name)
	d.fillIn(meta, "namespace", "metadata.namespace", o.Namespace)
	text, err := node.String()
	if err != nil {
		d.problem("", "%v", err)
	}
	return text
}

// fillIn sets a key of a mapping, or checks that it has the wanted value already.
func (d *document) fillIn(n *yaml.Node, key, path, want string) {
	value := yamltext.Child(n, key)
	switch {
	case value == nil && want != "":
		insert(n, key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: want})
	case value != nil && (value.Kind != yaml.ScalarNode || value.Value != want):
		d.lines[path] = value.Line
		d.problem(path, "the object has %q here, and a patch must not rename its object or change its kind", want)
	}
}

func insert(n *yaml.Node, key string, value *yaml.Node) {
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	n.Content = append(n.Content, name, value)
}
