package main

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

// deltaDocument is a delta as YAML that can be applied again, with what it is
// called at the top; "" for none.
func deltaDocument(d *fleet.Delta) (string, error) {
	if d == nil {
		return "", nil
	}
	rest := *d
	rest.Name, rest.Cluster = "", ""
	title := map[string]string{"name": d.Name}
	if d.Cluster != "" {
		title = map[string]string{"cluster": d.Cluster}
	}
	head, err := yaml.Marshal(title)
	if err != nil {
		return "", err
	}
	body, err := yaml.Marshal(rest)
	if err != nil || string(body) == "{}\n" {
		return string(head), err
	}
	return string(head) + string(body), nil
}

// printDeltas prints documents that apply and render take.
func printDeltas(w io.Writer, deltas []*fleet.Delta) error {
	for i, d := range deltas {
		text, err := deltaDocument(d)
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

// deltaText is one document of a file that is applied, as it is written there.
type deltaText struct {
	id   string // of the delta that it says it is, or what names the cluster
	line int    // where it begins
	text []byte
}

// readFile reads a file, or standard input where its name is a dash.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// splitDeltas takes a file apart into its documents, of which each must say which
// delta it is. What else they say is for the server to judge.
func splitDeltas(file string, data []byte) ([]deltaText, error) {
	return splitNamed(file, data, "delta", deltaName)
}

// splitNamed takes a file apart into its documents, which name says the ID of. None
// may stand there twice, because one would silently win.
func splitNamed(file string, data []byte, noun string, name func(document []byte) (string, error)) ([]deltaText, error) {
	var all []deltaText
	seen := map[string]int{}
	for _, d := range splitDocuments(data) {
		var err error
		if d.id, err = name(d.text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, d.line, err)
		}
		if first := seen[d.id]; first > 0 {
			return nil, fmt.Errorf("%s:%d: %s stands at line %d already", file, d.line, d.id, first)
		}
		seen[d.id] = d.line
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: holds no %s", file, noun)
	}
	return all, nil
}

// deltaName is the ID of the delta that a document says it is.
func deltaName(document []byte) (string, error) {
	var title struct{ Name, Cluster string }
	if err := yaml.Unmarshal(document, &title); err != nil {
		return "", err
	}
	switch {
	case (title.Name == "") == (title.Cluster == ""):
		return "", errors.New("a delta has a name, or a cluster whose own it is: say one of them")
	case title.Name != "":
		return fleet.DeltaID(title.Name), nil
	}
	return fleet.OwnID(title.Cluster), nil
}

// splitDocuments cuts YAML at the lines that end documents, and drops those that
// hold nothing.
func splitDocuments(data []byte) []deltaText {
	var all []deltaText
	now, line := deltaText{line: 1}, 0
	flush := func() {
		if !isBlank(now.text) {
			all = append(all, now)
		}
		now = deltaText{line: line + 1}
	}
	for text := range bytes.Lines(data) {
		line++
		mark := strings.TrimRight(string(text), " \t\r\n")
		if mark == "---" || mark == "..." || strings.HasPrefix(mark, "--- #") {
			flush()
			continue
		}
		now.text = append(now.text, text...)
	}
	flush()
	return all
}

// isBlank tells whether YAML holds only comments.
func isBlank(text []byte) bool {
	var v any
	return yaml.Unmarshal(text, &v) == nil && v == nil
}

// readDeltas reads a file of deltas whole, as strictly as the server does.
func readDeltas(file string, stdin io.Reader, renderer fleet.Renderer) ([]*fleet.Delta, error) {
	data, err := readFile(file, stdin)
	if err != nil {
		return nil, err
	}
	texts, err := splitDeltas(file, data)
	if err != nil {
		return nil, err
	}
	deltas := make([]*fleet.Delta, len(texts))
	for i, t := range texts {
		deltas[i], err = renderer.ReadDelta(t.text)
		var problems fleet.Problems
		if errors.As(err, &problems) {
			for j := range problems {
				problems[j].File, problems[j].Line = file, problems[j].Line+t.line-1
			}
			return nil, problems
		} else if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, t.line, err)
		}
	}
	return deltas, nil
}

// asJSON makes JSON of what somebody wrote as YAML; JSON stays as it is written.
func asJSON(text []byte) ([]byte, error) {
	if json.Valid(text) {
		return text, nil
	}
	var v any // In the reading that documents have, where yes is a text.
	if err := yaml3.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
