// Package document reads and prints the YAML documents of the apply, render and get
// commands: deltas, and clusters as a fleet repo declares them.
//
//	documents, err := document.Split("changes.yaml", data)
//	for _, d := range documents {
//		fmt.Println(d.Line, d.ID) // 1 delta/pin-keda, 9 Cluster/edge-7
//	}
//
// It checks only what it needs to route a document. Everything else is for the server
// to check.
package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// Document is one document of a file.
type Document struct {
	ID   string // of the delta; for a cluster its name after ClusterPrefix
	Line int    // where the document begins
	Text []byte // as written
}

// ReadFile reads a file, or stdin if the name is "-".
func ReadFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// Split splits a file into documents, each of which must name a delta or a cluster.
func Split(file string, data []byte) ([]Document, error) {
	return split(file, data, "delta or cluster", identify)
}

// split rejects a file that names the same thing twice, because one document would
// silently override the other.
func split(file string, data []byte, noun string, identify func(text []byte) (string, error)) ([]Document, error) {
	var all []Document
	seen := map[string]int{}
	for _, d := range splitYAML(data) {
		var err error
		if d.ID, err = identify(d.Text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, d.Line, err)
		}
		if first := seen[d.ID]; first > 0 {
			return nil, fmt.Errorf("%s:%d: %s is already at line %d", file, d.Line, d.ID, first)
		}
		seen[d.ID] = d.Line
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: contains no %s", file, noun)
	}
	return all, nil
}

// identify returns the ID of a document.
func identify(text []byte) (string, error) {
	var h header
	if yaml3.Unmarshal(text, &h) == nil && h.isCluster() {
		return ClusterPrefix + h.Metadata.Name, nil
	}
	id, err := identifyDelta(text)
	if err != nil && h.Kind != "" {
		return "", fmt.Errorf("apiVersion %q, kind %q: expected a Cluster of %s, or a delta, which has neither field", h.APIVersion, h.Kind, clusterAPIVersion)
	}
	return id, err
}

// identifyDelta returns the ID of the delta in a document.
func identifyDelta(text []byte) (string, error) {
	var delta struct{ Name, Cluster string }
	if err := yaml.Unmarshal(text, &delta); err != nil {
		return "", err
	}
	switch {
	case (delta.Name == "") == (delta.Cluster == ""):
		return "", errors.New("a delta must have either a name, or the cluster that it belongs to")
	case delta.Name != "":
		return fleet.DeltaID(delta.Name), nil
	}
	return fleet.OwnID(delta.Cluster), nil
}

// splitYAML splits a YAML stream at its document markers and drops empty documents.
func splitYAML(data []byte) []Document {
	var all []Document
	current, line := Document{Line: 1}, 0
	flush := func() {
		if !isBlank(current.Text) {
			all = append(all, current)
		}
		current = Document{Line: line + 1}
	}
	for text := range bytes.Lines(data) {
		line++
		marker := strings.TrimRight(string(text), " \t\r\n")
		if marker == "---" || marker == "..." || strings.HasPrefix(marker, "--- #") {
			flush()
			continue
		}
		current.Text = append(current.Text, text...)
	}
	flush()
	return all
}

// isBlank reports whether YAML contains nothing but comments.
func isBlank(text []byte) bool {
	var v any
	return yaml.Unmarshal(text, &v) == nil && v == nil
}

// ToJSON converts YAML to JSON. JSON is returned unchanged.
func ToJSON(text []byte) ([]byte, error) {
	if json.Valid(text) {
		return text, nil
	}
	var v any // read as the documents are, so that yes is a string
	if err := yaml3.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
