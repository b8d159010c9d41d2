package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// InputChange is what a change makes of one input of one cluster.
type InputChange struct {
	Cluster string `json:"cluster"`
	Set     string `json:"set"`
	ID      string `json:"id"`
	// Before and After are the input; absent where there is none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// impact is what lies between two renderings of a cluster, by set in their
// order, and by id within. Either may be nil.
func impact(cluster string, before, after *Member) ([]InputChange, error) {
	var changes []InputChange
	for _, set := range setsOf(before, after) {
		old, now := before.body(set), after.body(set)
		if bytes.Equal(old, now) {
			continue
		}
		found, err := compareInputs(old, now)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			c.Cluster, c.Set = cluster, set
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// setsOf are the input sets of any of two members, in the order of their releases.
func setsOf(before, after *Member) []string {
	var sets []string
	for _, m := range []*Member{after, before} {
		if m == nil {
			continue
		}
		for _, set := range m.base.sets {
			if !slices.Contains(sets, set) {
				sets = append(sets, set)
			}
		}
	}
	return sets
}

func (m *Member) body(set string) []byte {
	if m == nil || m.lost != nil || m.bodies[set] == nil {
		return nil
	}
	return m.bodies[set].JSON
}

// compareInputs finds the inputs that differ between two answers. Both are
// sorted by id.
func compareInputs(old, now []byte) ([]InputChange, error) {
	a, err := splitInputs(old)
	if err != nil {
		return nil, err
	}
	b, err := splitInputs(now)
	if err != nil {
		return nil, err
	}
	var changes []InputChange
	for len(a)+len(b) > 0 {
		switch {
		case len(a) > 0 && len(b) > 0 && bytes.Equal(a[0], b[0]):
			a, b = a[1:], b[1:]
			continue
		}
		var c InputChange
		before, after, err := firstIDs(a, b)
		switch {
		case err != nil:
			return nil, err
		case len(b) == 0 || len(a) > 0 && before < after:
			c, a = InputChange{ID: before, Before: a[0]}, a[1:]
		case len(a) == 0 || after < before:
			c, b = InputChange{ID: after, After: b[0]}, b[1:]
		default:
			c, a, b = InputChange{ID: before, Before: a[0], After: b[0]}, a[1:], b[1:]
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func firstIDs(a, b []json.RawMessage) (before, after string, err error) {
	if len(a) > 0 {
		before, err = idOf(a[0])
	}
	if len(b) > 0 && err == nil {
		after, err = idOf(b[0])
	}
	return before, after, err
}

// idOf is the id of an input, which need not be read whole for that.
func idOf(input json.RawMessage) (id string, err error) {
	at := member(input, "id")
	if at < 0 || at >= len(input) || input[at] != '"' {
		return "", fmt.Errorf("input without an id: %.80s", input)
	}
	err = json.Unmarshal(input[at:endOfString(input, at)+1], &id)
	return id, err
}

// member is the place of the value that an object has under a key; -1 where it has none.
// The key must have no character that JSON escapes.
func member(object []byte, key string) int {
	for i, depth := 0, 0; i < len(object); i++ {
		switch object[i] {
		case '"':
			start := i + 1
			i = endOfString(object, i)
			if depth == 1 && i+1 < len(object) && object[i+1] == ':' && string(object[start:i]) == key {
				return i + 2
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	return -1
}

const beginning = `{"inputs":[`

// splitInputs takes an answer apart; nil has none. An answer is JSON already, and
// one input of it need not be read to find where it ends, which a write for many
// clusters would spend most of its time on.
func splitInputs(body []byte) ([]json.RawMessage, error) {
	if body == nil {
		return nil, nil
	}
	list, ok := bytes.CutPrefix(body, []byte(beginning))
	if !ok {
		return nil, fmt.Errorf("answer to a poll does not begin with %s", beginning)
	}
	var inputs []json.RawMessage
	for start, depth, i := 0, 0, 0; i < len(list); i++ {
		switch list[i] {
		case '"':
			i = endOfString(list, i)
		case '{', '[':
			if depth++; depth == 1 {
				start = i
			}
		case '}', ']':
			switch depth--; depth {
			case 0:
				inputs = append(inputs, json.RawMessage(list[start:i+1]))
			case -1:
				return inputs, nil
			}
		}
	}
	return nil, io.ErrUnexpectedEOF
}

// endOfString is the place of the quote that ends the string which begins at i.
func endOfString(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i
}
