package render

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
)

// encode writes JSON with sorted keys and without the escapes for HTML.
func encode(v any) ([]byte, error) {
	if b, ok := appendValue(make([]byte, 0, 512), v); ok {
		return slices.Clip(b), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return slices.Clip(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// appendValue writes what a decoder of JSON makes, as encoding/json writes it, in a third
// of the time: a release writes every object that it changes, for every cluster that has
// it patched. It returns false where it does not know how encoding/json does.
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
	var few [16]string
	keys := few[:0]
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

// appendText knows texts that need no escape; for others it asks encoding/json.
func appendText(b []byte, text string) ([]byte, bool) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var out bytes.Buffer
			enc := json.NewEncoder(&out)
			enc.SetEscapeHTML(false)
			err := enc.Encode(text)
			return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...), err == nil
		}
	}
	return append(append(append(b, '"'), text...), '"'), true
}
