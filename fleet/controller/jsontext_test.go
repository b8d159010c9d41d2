package fleet

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTextIsReadAsJSONIs holds what is found of a JSON text without reading it against
// what a reader finds.
func TestTextIsReadAsJSONIs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		object := map[string]any{}
		for range r.IntN(5) {
			object[anyText(r)] = anyValue(r, 3)
		}
		fields, err := fieldsIn(encode(object))
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, f := range fields {
			keys = append(keys, f.key)
			if !bytes.Equal(f.value, encode(object[f.key])) {
				t.Fatalf("%s of %s is %s", f.key, encode(object), f.value)
			}
		}
		if want := slices.Sorted(maps.Keys(object)); !slices.Equal(keys, want) {
			t.Fatalf("keys of %s are %q, want %q", encode(object), keys, want)
		}
		list, _ := anyValue(r, 3).([]any)
		var elements []json.RawMessage
		if err := json.Unmarshal(encode(list), &elements); err != nil {
			t.Fatal(err)
		}
		if list == nil {
			continue
		}
		if got := elementsOf(encode(list)); !slices.EqualFunc(got, elements, func(a []byte, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Fatalf("elements of %s are %q", encode(list), got)
		}
	}
}

func anyText(r *rand.Rand) string {
	return []string{"a", "", "b.c", `"`, `\`, `\"`, "ü", "{", "],", "a\nb", "<&>", "\u2028"}[r.IntN(12)]
}

func anyValue(r *rand.Rand, depth int) any {
	switch n := r.IntN(7); {
	case n == 0:
		return nil
	case n == 1:
		return r.IntN(2) == 0
	case n == 2:
		return r.NormFloat64()
	case n < 5 || depth == 0:
		return anyText(r)
	case n == 5:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, anyValue(r, depth-1))
		}
		return list
	}
	object := map[string]any{}
	for range r.IntN(4) {
		object[anyText(r)] = anyValue(r, depth-1)
	}
	return object
}
