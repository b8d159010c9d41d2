package render

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tributary-gitops/tributary/fleet"
)

const (
	resourceSetsDir       = "resourcesets"
	resourceSetAPIVersion = "fluxcd.controlplane.io/v1"
	resourceSetKind       = "ResourceSet"
)

// resourceSetDocument is what Tributary must know of a ResourceSet. The rest is
// Flux Operator's, which reads it more strictly than could be done here.
type resourceSetDocument struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   resourceSetKey `json:"metadata"`
	Spec       anything       `json:"spec"`
}

type resourceSetKey struct {
	Name        string   `json:"name"`
	Namespace   string   `json:"namespace"`
	Labels      anything `json:"labels"`
	Annotations anything `json:"annotations"`
}

// anything may say what it likes, though nothing twice.
type anything struct{}

func (a anything) decodeNode(d *document, path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		d.entries(path, n, func(key string, _ int, child *yaml.Node) { a.decodeNode(d, join(path, key), child) })
	case yaml.SequenceNode:
		for i, child := range n.Content {
			a.decodeNode(d, fmt.Sprintf("%s[%d]", path, i), child)
		}
	}
}

// readResourceSets reads what turns inputs into objects in the clusters, sorted by
// namespace and name. Those with a problem are left out, so that it is told once.
func readResourceSets(tree fs.FS) ([]fleet.Object, fleet.Problems) {
	var sets []fleet.Object
	first := map[string]string{} // where each stands, by namespace and name
	problems := eachYAML(tree, resourceSetsDir, func(name string, _ fs.DirEntry) fleet.Problems {
		if isKustomization(path.Base(name)) {
			return nil // kubectl apply -k has it that way
		}
		data, err := readBounded(tree, name)
		if err != nil {
			return fleet.Problems{{File: name, Message: missing(err, "is it a link?")}}
		}
		docs, problems := parseDocuments(name, data)
		if len(docs)+len(problems) == 0 {
			return fleet.Problems{{File: name, Message: "holds no ResourceSet; remove the file if that is meant"}}
		}
		for _, d := range docs {
			set := d.resourceSet()
			key := set.Namespace + "/" + set.Name
			if there, taken := first[key]; taken && len(d.problems) == 0 {
				d.problem("metadata.name", "%q is that of the ResourceSet at %s; each needs its own", set.Name, there)
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

// resourceSet is the document as an object, and notes what is wrong with it.
func (d *document) resourceSet() fleet.Object {
	var r resourceSetDocument
	d.decode(&r)
	if d.root.Kind != yaml.MappingNode {
		return fleet.Object{} // That is all there is to say of it.
	}
	if r.APIVersion != resourceSetAPIVersion {
		d.problem("apiVersion", "must be %s", resourceSetAPIVersion)
	}
	if r.Kind != resourceSetKind {
		d.problem("kind", "must be %s: nothing else is in this folder", resourceSetKind)
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
	var err error
	if set.JSON, err = wholeJSON(d.root); err != nil {
		d.problem("", "%v", err)
	}
	return set
}

// wholeJSON reads a document as kustomize reads objects, keys sorted.
func wholeJSON(n *yaml.Node) ([]byte, error) {
	value, err := valueOf(n)
	if err != nil {
		return nil, err
	}
	return encode(value)
}
