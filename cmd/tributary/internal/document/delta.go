package document

import (
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// Delta returns a delta as YAML that can be applied again, with its name or cluster
// first; "" for nil.
func Delta(d *fleet.Delta) (string, error) {
	if d == nil {
		return "", nil
	}
	rest := *d
	rest.Name, rest.Cluster = "", ""
	header := map[string]string{"name": d.Name}
	if d.Cluster != "" {
		header = map[string]string{"cluster": d.Cluster}
	}
	head, err := yaml.Marshal(header)
	if err != nil {
		return "", err
	}
	body, err := yaml.Marshal(rest)
	if err != nil || string(body) == "{}\n" {
		return string(head), err
	}
	return string(head) + string(body), nil
}

// PrintDeltas prints deltas as documents that ReadDeltas and apply accept.
func PrintDeltas(w io.Writer, deltas []*fleet.Delta) error {
	for i, d := range deltas {
		text, err := Delta(d)
		if err != nil {
			return err
		}
		if i > 0 {
			text = "---\n" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// ReadDeltas reads a file of deltas, or stdin if the name is "-". It passes each
// document to parse, and reports problems at their line in the file.
func ReadDeltas(file string, stdin io.Reader, parse func(text []byte) (*fleet.Delta, error)) ([]*fleet.Delta, error) {
	data, err := ReadFile(file, stdin)
	if err != nil {
		return nil, err
	}
	documents, err := splitDeltas(file, data)
	if err != nil {
		return nil, err
	}
	deltas := make([]*fleet.Delta, len(documents))
	for i, d := range documents {
		deltas[i], err = parse(d.Text)
		var problems fleet.Problems
		if errors.As(err, &problems) {
			for j := range problems {
				problems[j].File, problems[j].Line = file, problems[j].Line+d.Line-1
			}
			return nil, problems
		} else if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, d.Line, err)
		}
	}
	return deltas, nil
}

// splitDeltas is Split for a file that holds deltas only.
func splitDeltas(file string, data []byte) ([]Document, error) {
	return split(file, data, "delta", identifyDelta)
}
