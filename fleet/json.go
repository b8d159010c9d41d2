package fleet

import (
	"bytes"
	"encoding/json"
)

// EncodeJSON returns v as JSON with sorted keys and without HTML escapes, on one line. It panics
// where v is not made of plain JSON values and structs, which is a programming error.
func EncodeJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
