package render

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// ReadDelta implements fleet.Renderer. Resources and merge patches come out as
// JSON in kustomize's reading of scalars, keys sorted, and everything in a form
// that ReadDelta reads as the same again. How large a document may be is the
// caller's to say.
func (Renderer) ReadDelta(text []byte) (*fleet.Delta, error) {
	var read deltaDocument
	if err := readOne(text, &read, read.check); err != nil {
		return nil, err
	}
	return read.delta(), nil
}

// ReadObject implements fleet.Renderer. The object comes out as one of
// ReadDelta's resources does.
func (Renderer) ReadObject(text []byte) (json.RawMessage, error) {
	var read plainObject
	check := func(d *document) {
		if len(d.problems) == 0 {
			read.checkObject(d, "")
		}
	}
	if err := readOne(text, &read, check); err != nil {
		return nil, err
	}
	return read.json, nil
}

// readOne decodes text into read and has it checked.
func readOne(text []byte, read any, check func(*document)) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fleet.Problems{panicked("", reason)}
		}
	}()
	d, problems := parseOne(text)
	if problems != nil {
		return problems
	}
	d.decode(read)
	check(d)
	if len(d.problems) > 0 {
		return d.problems.Sort()
	}
	return nil
}

// parseOne parses text that must be one document, YAML or JSON, and notes what
// of it would not survive being written down.
func parseOne(text []byte) (*document, fleet.Problems) {
	docs, problems := parseDocuments("", jsonAsYAML(text))
	if problems != nil {
		return nil, problems
	}
	if len(docs) != 1 {
		return nil, fleet.Problems{{Message: fmt.Sprintf("must hold one document, holds %d", len(docs))}}
	}
	d := docs[0]
	var s shape
	if at, wrong := s.measure(d.root, 0); at != nil {
		return nil, fleet.Problems{{Line: at.Line, Message: wrong}}
	}
	if v := (textCheck{d: d}); !v.check(nil, d.root) {
		return nil, fleet.Problems{{Line: d.root.Line, Message: fmt.Sprintf(
			"aliases expand to more than %d MiB; write the values out", maxExpanded>>20)}}
	}
	return d, nil
}

// delta is what the document says. Empty lists and mappings are none, as they are
// once they have been JSON.
func (c *deltaDocument) delta() *fleet.Delta {
	out := &fleet.Delta{
		Name: c.Name, Cluster: c.Cluster, Selector: c.Selector, Clusters: c.Clusters, Priority: c.Priority,
		Components: c.Components, Reason: c.Reason,
	}
	if s := out.Selector; s != nil && len(s.MatchLabels) == 0 {
		s.MatchLabels = nil
	}
	for _, r := range c.Resources {
		out.Resources = append(out.Resources, r.json)
	}
	for _, p := range c.Patches {
		out.Patches = append(out.Patches, p.patch())
	}
	for _, e := range c.Edits {
		out.Edits = append(out.Edits, e.edit())
	}
	if !c.ExpiresAt.IsZero() {
		at := time.Time(c.ExpiresAt.Time)
		out.ExpiresAt = &at
	}
	return out
}
