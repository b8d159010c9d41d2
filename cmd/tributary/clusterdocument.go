package main

import (
	"encoding/json"
	"errors"
	"fmt"

	yaml3 "go.yaml.in/yaml/v3"
)

const clusterAPIVersion = "tributary/v1alpha1"

// clusterTitle is what a document says it is.
type clusterTitle struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
}

// isCluster tells whether a document is a cluster, as the fleet repo has them.
func (t clusterTitle) isCluster() bool {
	return t.APIVersion == clusterAPIVersion && t.Kind == "Cluster"
}

// clusterFields are the fields of a cluster file in one mapping, as the API takes
// them: what is in spec, with name and labels beside it. What they may be is for
// the server to judge.
func clusterFields(document []byte) (map[string]any, error) {
	var root yaml3.Node
	if err := yaml3.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	timesAreText(&root)
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
		return nil, fmt.Errorf("%s: unknown field; known here are apiVersion, kind, metadata, spec", key)
	}
	fields := map[string]any{}
	for key, value := range d.Spec {
		if key == "name" || key == "labels" {
			return nil, fmt.Errorf("spec.%s: stands in metadata", key)
		}
		fields[key] = value
	}
	for key, value := range d.Metadata {
		if key != "name" && key != "labels" {
			return nil, fmt.Errorf("metadata.%s: unknown field; known here are name, labels", key)
		}
		fields[key] = value
	}
	for key, value := range fields {
		if value == nil {
			delete(fields, key) // As in a file: a field that is null is not set.
		}
	}
	if name, _ := fields["name"].(string); name == "" {
		return nil, errors.New("metadata.name: must name the cluster")
	}
	return fields, nil
}

// timesAreText has what looks like a time stay as it is written: kustomize reads
// objects so, and JSON has no times.
func timesAreText(n *yaml3.Node) {
	if n.Kind == yaml3.ScalarNode && n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, child := range n.Content {
		timesAreText(child)
	}
}

// patchableFields are those that a document may leave out.
var patchableFields = []string{"dns", "overlay", "components", "resources", "patches"}

// clusterPatch is the merge patch that has a cluster be what its fields say, and
// nothing else; labels are those that it has.
func clusterPatch(fields map[string]any, labels map[string]string) ([]byte, error) {
	patch := map[string]any{}
	for _, name := range patchableFields {
		patch[name] = nil
	}
	for name, value := range fields {
		if name != "name" {
			patch[name] = value
		}
	}
	wanted := map[string]any{}
	for key := range labels {
		wanted[key] = nil
	}
	if given, ok := fields["labels"].(map[string]any); ok {
		for key, value := range given {
			wanted[key] = value
		}
	} else if fields["labels"] != nil {
		return nil, errors.New("metadata.labels: must be a mapping")
	}
	patch["labels"] = wanted
	return json.Marshal(patch)
}
