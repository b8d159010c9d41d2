package document

import (
	"encoding/json"
	"errors"
	"fmt"

	yaml3 "go.yaml.in/yaml/v3"
)

// ClusterPrefix begins the ID of a document that declares a cluster.
const ClusterPrefix = "Cluster/"

const clusterAPIVersion = "tributary/v1alpha1"

// header is the part of a document that identifies it.
type header struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
}

// isCluster reports whether the document is a cluster in the form of a fleet repo.
func (h header) isCluster() bool {
	return h.APIVersion == clusterAPIVersion && h.Kind == "Cluster"
}

// Cluster returns the fields of a cluster document as the API takes them: those of spec,
// and name and labels. The server checks the values.
func Cluster(text []byte) (map[string]any, error) {
	var root yaml3.Node
	if err := yaml3.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	keepTimesAsText(&root)
	var d struct {
		APIVersion string         `yaml:"apiVersion"`
		Kind       string         `yaml:"kind"`
		Metadata   map[string]any `yaml:"metadata"`
		Spec       map[string]any `yaml:"spec"`
		Rest       map[string]any `yaml:",inline"`
	}
	if err := root.Decode(&d); err != nil {
		return nil, err
	}
	for key := range d.Rest {
		return nil, fmt.Errorf("%s: unknown field; the known fields are apiVersion, kind, metadata, spec", key)
	}
	fields := map[string]any{}
	for key, value := range d.Spec {
		if key == "name" || key == "labels" {
			return nil, fmt.Errorf("spec.%s: belongs in metadata", key)
		}
		fields[key] = value
	}
	for key, value := range d.Metadata {
		if key != "name" && key != "labels" {
			return nil, fmt.Errorf("metadata.%s: unknown field; the known fields are name, labels", key)
		}
		fields[key] = value
	}
	for key, value := range fields {
		if value == nil {
			delete(fields, key) // a field that is null is not set, as in a fleet repo
		}
	}
	if name, _ := fields["name"].(string); name == "" {
		return nil, errors.New("metadata.name: must name the cluster")
	}
	return fields, nil
}

// keepTimesAsText keeps what looks like a time as a string. JSON has no times, and
// kustomize reads them as strings too.
func keepTimesAsText(n *yaml3.Node) {
	if n.Kind == yaml3.ScalarNode && n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, child := range n.Content {
		keepTimesAsText(child)
	}
}

// optionalFields are the fields that a cluster document may leave out.
var optionalFields = []string{"dns", "overlay", "components", "resources", "patches"}

// ClusterPatch returns the merge patch that makes a cluster equal to the fields of its
// document. currentLabels are the labels that the cluster has.
func ClusterPatch(fields map[string]any, currentLabels map[string]string) ([]byte, error) {
	patch := map[string]any{}
	for _, name := range optionalFields {
		patch[name] = nil
	}
	for name, value := range fields {
		if name != "name" {
			patch[name] = value
		}
	}
	labels := map[string]any{}
	for key := range currentLabels {
		labels[key] = nil
	}
	if given, ok := fields["labels"].(map[string]any); ok {
		for key, value := range given {
			labels[key] = value
		}
	} else if fields["labels"] != nil {
		return nil, errors.New("metadata.labels: must be a mapping")
	}
	patch["labels"] = labels
	return json.Marshal(patch)
}
