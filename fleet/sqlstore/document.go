package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// documents are a delta's before and after a change, as JSON; nil stands for none.
type documents struct{ was, became *string }

func documentsOf(changes []fleet.DeltaChange) ([]documents, error) {
	all := make([]documents, len(changes))
	for i, c := range changes {
		var err error
		if all[i].was, err = document(c.Before); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", c.Delta, fleet.ErrInvalid, err)
		}
		if all[i].became, err = document(c.After); err != nil {
			return nil, fmt.Errorf("%s: %w: %w", c.Delta, fleet.ErrInvalid, err)
		}
	}
	return all, nil
}

// document writes a delta's JSON as it is, without escapes that are for HTML.
func document(d *fleet.Delta) (*string, error) {
	if d == nil {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil, err
	}
	text := string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return &text, nil
}

// deltaOf reads a document; nil stands for none.
func deltaOf(document []byte) (*fleet.Delta, error) {
	if document == nil {
		return nil, nil
	}
	d := &fleet.Delta{}
	if err := json.Unmarshal(document, d); err != nil {
		return nil, fmt.Errorf("delta: %w", err)
	}
	return d, nil
}
