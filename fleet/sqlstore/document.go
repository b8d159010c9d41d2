package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// change is what became of one thing that a ledger keeps, before and after, as
// JSON documents; nil stands for none.
type change struct {
	id          string
	was, became *string
}

// documents are what a change of the log holds: by ledger, and what is kept as it is
// now and no other way.
type documents struct {
	deltas, records, tokens, pins []change
	releases                      []releaseDocument
	lineup                        *string
}

func documentsOf(c *fleet.Change) (d documents, err error) {
	for _, x := range c.Deltas {
		if d.deltas, err = add(d.deltas, x.Delta, x.Before, x.After); err != nil {
			return d, err
		}
	}
	for _, x := range c.Records {
		if d.records, err = add(d.records, x.Cluster, x.Before, x.After); err != nil {
			return d, err
		}
	}
	for _, x := range c.Tokens {
		if d.tokens, err = add(d.tokens, x.Token, x.Before, x.After); err != nil {
			return d, err
		}
	}
	for _, x := range c.Pins {
		if d.pins, err = add(d.pins, x.Pin, x.Before, x.After); err != nil {
			return d, err
		}
	}
	for _, r := range c.Releases {
		kept, err := releaseDocumentOf(r)
		if err != nil {
			return d, err
		}
		d.releases = append(d.releases, kept)
	}
	d.lineup, err = document(c.Lineup)
	return d, err
}

func add[T any](to []change, id string, before, after *T) ([]change, error) {
	was, err := document(before)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", id, fleet.ErrInvalid, err)
	}
	became, err := document(after)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", id, fleet.ErrInvalid, err)
	}
	return append(to, change{id, was, became}), nil
}

// document writes JSON as it is, without escapes that are for HTML.
func document[T any](v *T) (*string, error) {
	if v == nil {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	text := string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return &text, nil
}

// read reads a document; nil stands for none.
func read[T any](document []byte) (*T, error) {
	if document == nil {
		return nil, nil
	}
	v := new(T)
	if err := json.Unmarshal(document, v); err != nil {
		return nil, fmt.Errorf("%T: %w", *v, err)
	}
	return v, nil
}
