package yamltext

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// ValueOf returns a mapping as JSON values in kustomize's reading of scalars, with
// aliases written out. kustomize itself writes the mapping as YAML and reads that, which
// takes many times as long. Only some nodes need it.
func ValueOf(n *yaml.Node) (map[string]any, error) {
	var data []byte
	if changesWhenWritten(n) {
		node := kyaml.NewRNode(n).Copy()
		err := node.DeAnchor()
		if err == nil {
			data, err = node.MarshalJSON()
		}
		if err != nil {
			return nil, err
		}
		return DecodeJSON(data)
	}
	var value map[string]any
	err := n.Decode(&value)
	if err == nil {
		data, err = json.Marshal(value)
	}
	if err != nil {
		return nil, err
	}
	return DecodeJSON(data)
}

// changesWhenWritten reports whether a node may be read differently once it has been
// written: aliases, folded text, keys that are not strings, explicit tags.
func changesWhenWritten(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&(yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return true
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && child.ShortTag() != "!!str" || changesWhenWritten(child) {
			return true
		}
	}
	return false
}

// ScalarText returns a string, number or boolean as text.
func ScalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}

// Floats returns a value with every number as a float64. It returns false if a number has
// no float64.
func Floats(v any) (any, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			f, ok := Floats(value)
			if !ok {
				return nil, false
			}
			out[key] = f
		}
		return out, true
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			f, ok := Floats(value)
			if !ok {
				return nil, false
			}
			out[i] = f
		}
		return out, true
	}
	return v, true
}

// DecodeJSON reads a JSON object and keeps its numbers as they are written.
func DecodeJSON(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var m map[string]any
	err := dec.Decode(&m)
	return m, err
}

// EncodeJSON writes JSON with sorted keys and without HTML escapes.
func EncodeJSON(v any) ([]byte, error) {
	if b, ok := appendValue(make([]byte, 0, 512), v); ok {
		return slices.Clip(b), nil
	}
	b, err := encodeSlowly(v)
	return slices.Clip(b), err
}

func encodeSlowly(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// appendValue writes a decoded value exactly as encoding/json does, in a third of the
// time: a release writes every object that it changes, for every cluster that patches it.
// It returns false for values that it does not know.
func appendValue(b []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), true
	case bool:
		return strconv.AppendBool(b, v), true
	case string:
		return appendText(b, v)
	case json.Number:
		return append(b, v...), json.Valid([]byte(v))
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 || v == 0 && math.Signbit(v) {
			return b, false
		}
		return strconv.AppendInt(b, int64(v), 10), true
	case []any:
		return appendList(b, v)
	case map[string]any:
		return appendMapping(b, v)
	}
	return b, false
}

func appendList(b []byte, list []any) (_ []byte, ok bool) {
	if list == nil {
		return append(b, "null"...), true
	}
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = appendValue(b, v); !ok {
			return b, false
		}
	}
	return append(b, ']'), true
}

func appendMapping(b []byte, m map[string]any) (_ []byte, ok bool) {
	if m == nil {
		return append(b, "null"...), true
	}
	var buffer [16]string
	keys := buffer[:0]
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = appendText(b, key); !ok {
			return b, false
		}
		if b, ok = appendValue(append(b, ':'), m[key]); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

// appendText leaves text that needs an escape to encoding/json.
func appendText(b []byte, text string) ([]byte, bool) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			out, err := encodeSlowly(text)
			return append(b, out...), err == nil
		}
	}
	return append(append(append(b, '"'), text...), '"'), true
}

// ValueAt returns the value at a location, keys and list indexes, within a decoded value; nil if there is
// none.
func ValueAt(v any, location []string) any {
	for _, part := range location {
		switch in := v.(type) {
		case map[string]any:
			v = in[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}
