package fleetrepo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Limits on documents that are stored as JSON and read as YAML again.
const (
	// maxKey limits a key, in bytes, because YAML readers give up on longer ones.
	maxKey = 500
	// maxExpanded limits the text of a document with its aliases written out.
	maxExpanded = 16 << 20
)

// jsonAsYAML returns JSON in a form that means the same as YAML. YAML knows no surrogate
// pairs and no \/, and some characters that may be in a JSON string end a line or are
// invalid in YAML. Lines stay where they are. Text that is not JSON is returned as it is.
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
			// The next iteration writes the slash.
		case text[0] == '\\': // never the last byte
			n = 2
			out.Write(text[:n])
		default:
			var c rune
			if c, n = utf8.DecodeRune(text); c > 0x7e && cannotBeStored(c) || c == '\u2028' || c == '\u2029' {
				fmt.Fprintf(&out, `\u%04x`, c)
			} else {
				out.Write(text[:n])
			}
		}
		text = text[n:]
	}
	return out.Bytes()
}

// surrogates returns the escaped surrogate pair that text begins with, or zeros.
func surrogates(text []byte) (high, low rune) {
	if len(text) < 12 || text[0] != '\\' || text[1] != 'u' || text[6] != '\\' || text[7] != 'u' {
		return 0, 0
	}
	if _, err := fmt.Sscanf(string(text[:12]), `\u%04x\u%04x`, &high, &low); err != nil || utf16.DecodeRune(high, low) == utf8.RuneError {
		return 0, 0
	}
	return high, low
}

// cannotBeStored reports whether a character is invalid in a document that other programs
// read: NUL, which PostgreSQL refuses, and characters that are valid in JSON but end the
// line or the document in YAML.
func cannotBeStored(c rune) bool {
	return c == 0 || c >= 0x7f && c <= 0x9f || c >= 0xd800 && c <= 0xdfff || c == 0xfeff || c == 0xfffe || c == 0xffff
}

// textCheck notes keys and texts that could not be stored and read again.
type textCheck struct {
	d    *document
	size int
}

// position is a field path that is only written out for a problem; nil for the root.
type position struct {
	parent *position
	key    string
	index  int // if key is ""
}

func (p *position) String() string {
	switch {
	case p == nil:
		return ""
	case p.key == "":
		return FieldIndex(p.parent.String(), p.index)
	}
	return FieldName(p.parent.String(), p.key)
}

func (t *textCheck) problem(at *position, n *yaml.Node, format string, args ...any) {
	path := at.String()
	t.d.lines[path] = n.Line
	t.d.problem(path, format, args...)
}

// check returns false if the aliases expand to too much.
func (t *textCheck) check(at *position, n *yaml.Node) bool {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if t.size += len(n.Value); t.size > maxExpanded {
		return false
	}
	switch n.Kind {
	case yaml.MappingNode:
		return t.checkMapping(at, n)
	case yaml.SequenceNode:
		for i, child := range n.Content {
			if !t.check(&position{parent: at, index: i}, child) {
				return false
			}
		}
	case yaml.ScalarNode:
		if n.ShortTag() == "!!binary" {
			t.problem(at, n, "is binary; write its base64 as a string")
		} else if c := strings.IndexFunc(n.Value, cannotBeStored); c >= 0 {
			t.problem(at, n, "has a character that cannot be stored (U+%04X)", []rune(n.Value[c:])[0])
		}
	}
	return true
}

func (t *textCheck) checkMapping(at *position, n *yaml.Node) bool {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		next := &position{parent: at, key: key.Value}
		first, again := seen[key.Value]
		seen[key.Value] = key.Line
		switch {
		case key.Kind != yaml.ScalarNode:
			t.problem(at, key, "has a key that is not a string")
		case key.Value == "<<" && key.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
			t.problem(next, key, "is a key that YAML reads as a merge; use another one")
		case len(key.Value) > maxKey || strings.ContainsFunc(key.Value, cannotBeStored):
			t.problem(at, key, "has a key of more than %d bytes, or one with a character that cannot be stored", maxKey)
		case again:
			t.problem(next, key, "repeats the key of line %d; remove one", first)
		}
		if t.size += len(key.Value); !t.check(next, n.Content[i+1]) {
			return false
		}
	}
	return true
}

// plainJSON returns a mapping as values and as JSON, in kustomize's reading of scalars
// and with aliases written out.
func plainJSON(n *yaml.Node) (map[string]any, []byte, error) {
	value, err := yamltext.ValueOf(n)
	if err != nil {
		return nil, nil, err
	}
	positiveZero(value)
	data, err := yamltext.EncodeJSON(value)
	return value, data, err
}

// positiveZero replaces every −0 by 0, which is what it is read as again.
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
