package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// Limits on documents of deltas, which are written as JSON and read as YAML again.
const (
	// maxKey bounds a key, in bytes, because YAML readers give up on longer ones.
	maxKey = 500
	// maxExpanded bounds the text of a document with its aliases written out.
	maxExpanded = 16 << 20
)

// jsonAsYAML returns text that is JSON in such a form that reading it as YAML
// gives the same: YAML knows no surrogate pairs and no \/, and takes some characters that
// may stand in a JSON string for the end of a line, or for no text at all. Lines
// stay where they are. Other text is returned as it is.
func jsonAsYAML(text []byte) []byte {
	if !json.Valid(text) {
		return text
	}
	var out bytes.Buffer
	for len(text) > 0 {
		n := 1
		switch high, low := surrogates(text); {
		case low != 0:
			out.WriteRune(utf16.DecodeRune(high, low))
			n = 12
		case bytes.HasPrefix(text, []byte(`\/`)):
			// The next turn writes the slash.
		case text[0] == '\\': // never the last byte
			n = 2
			out.Write(text[:n])
		default:
			var c rune
			if c, n = utf8.DecodeRune(text); c > 0x7e && unwritable(c) || c == '\u2028' || c == '\u2029' {
				fmt.Fprintf(&out, `\u%04x`, c)
			} else {
				out.Write(text[:n])
			}
		}
		text = text[n:]
	}
	return out.Bytes()
}

// surrogates returns the pair that text begins with, zeros if it does not.
func surrogates(text []byte) (high, low rune) {
	if len(text) < 12 || text[0] != '\\' || text[1] != 'u' || text[6] != '\\' || text[7] != 'u' {
		return 0, 0
	}
	if _, err := fmt.Sscanf(string(text[:12]), `\u%04x\u%04x`, &high, &low); err != nil || utf16.DecodeRune(high, low) == utf8.RuneError {
		return 0, 0
	}
	return high, low
}

// unwritable tells whether a character can't stand in a document that other
// programs read: a NUL, which PostgreSQL refuses, or one that is valid in JSON and
// not in YAML, where it ends the line or the document.
func unwritable(c rune) bool {
	return c == 0 || c >= 0x7f && c <= 0x9f || c >= 0xd800 && c <= 0xdfff || c == 0xfeff || c == 0xfffe || c == 0xffff
}

// textCheck notes keys and texts that would not survive being written down, with
// their paths.
type textCheck struct {
	d    *document
	size int
}

// step is a path that is only written out where there is something to tell.
type step struct {
	up    *step
	key   string
	index int // where key is ""
}

func (s *step) String() string {
	switch {
	case s == nil:
		return ""
	case s.key == "":
		return fmt.Sprintf("%s[%d]", s.up, s.index)
	}
	return join(s.up.String(), s.key)
}

func (t *textCheck) problem(at *step, n *yaml.Node, format string, args ...any) {
	path := at.String()
	t.d.lines[path] = n.Line
	t.d.problem(path, format, args...)
}

// check returns false where the aliases expand to too much.
func (t *textCheck) check(at *step, n *yaml.Node) bool {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if t.size += len(n.Value); t.size > maxExpanded {
		return false
	}
	switch n.Kind {
	case yaml.MappingNode:
		return t.mapping(at, n)
	case yaml.SequenceNode:
		for i, child := range n.Content {
			if !t.check(&step{up: at, index: i}, child) {
				return false
			}
		}
	case yaml.ScalarNode:
		if n.ShortTag() == "!!binary" {
			t.problem(at, n, "is binary; write its base64 as a string")
		} else if c := strings.IndexFunc(n.Value, unwritable); c >= 0 {
			t.problem(at, n, "holds a character that cannot be kept (U+%04X)", []rune(n.Value[c:])[0])
		}
	}
	return true
}

func (t *textCheck) mapping(at *step, n *yaml.Node) bool {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		next := &step{up: at, key: key.Value}
		first, again := seen[key.Value]
		seen[key.Value] = key.Line
		switch {
		case key.Kind != yaml.ScalarNode:
			t.problem(at, key, "has a key that is no string")
		case key.Value == "<<" && key.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
			t.problem(next, key, "is a key that YAML takes for a merge; give it another name")
		case len(key.Value) > maxKey || strings.ContainsFunc(key.Value, unwritable):
			t.problem(at, key, "has a key of more than %d bytes, or with a character that cannot be kept", maxKey)
		case again:
			t.problem(next, key, "stands here again, first in line %d; remove one", first)
		}
		if t.size += len(key.Value); !t.check(next, n.Content[i+1]) {
			return false
		}
	}
	return true
}

// plainJSON is a mapping in kustomize's reading of scalars, aliases written out.
func plainJSON(n *yaml.Node) (map[string]any, []byte, error) {
	value, err := valueOf(n)
	if err != nil {
		return nil, nil, err
	}
	positiveZero(value)
	data, err := encode(value)
	return value, data, err
}

// valueOf is what a mapping says in kustomize's reading of scalars, aliases written out.
// kustomize itself writes it as YAML and reads that, which takes many times as long. Of
// nodes as they were parsed it makes no difference, but for some.
func valueOf(n *yaml.Node) (map[string]any, error) {
	var data []byte
	if isOdd(n) {
		node := kyaml.NewRNode(n).Copy()
		err := node.DeAnchor()
		if err == nil {
			data, err = node.MarshalJSON()
		}
		if err != nil {
			return nil, err
		}
		return decodeJSON(data)
	}
	var value map[string]any
	err := n.Decode(&value)
	if err == nil {
		data, err = json.Marshal(value)
	}
	if err != nil {
		return nil, err
	}
	return decodeJSON(data)
}

// isOdd tells of what may not be read as the same once it has been written: what stands
// for others, folded text, keys that are no strings, and what has a tag of its own.
func isOdd(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&(yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return true
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.ShortTag() != "!!str" || isOdd(child) {
			return true
		}
	}
	return false
}

// positiveZero makes every −0 a 0, as which it is read again.
func positiveZero(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = positiveZero(value)
		}
	case []any:
		for i, value := range v {
			v[i] = positiveZero(value)
		}
	case json.Number:
		if v == "-0" {
			return json.Number("0")
		}
	}
	return v
}

// shapeOf says what is wrong with the shape of YAML, however short it is; "" if
// nothing, or if it is no YAML.
func shapeOf(text string) string {
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return ""
		}
		var s shape
		if _, wrong := s.measure(&doc, 0); wrong != "" {
			return wrong
		}
	}
}
