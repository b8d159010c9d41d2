package fleet

import (
	"cmp"
	"encoding/json"
	"slices"
)

// What inputs consist of is JSON already, in one line and without spaces. To find where
// its parts begin and end it need not be read, on which a release that changes every
// cluster would spend most of its time.

// field is a member of an object.
type field struct {
	key   string
	value []byte
}

// fieldsIn are the members of an object, sorted by key.
func fieldsIn(object []byte) (fields []field, err error) {
	for i := 1; i < len(object)-1; {
		end := endOfString(object, i) + 1
		f := field{key: string(object[i+1 : end-1])}
		if slices.Contains(object[i+1:end-1], '\\') {
			if err := json.Unmarshal(object[i:end], &f.key); err != nil {
				return nil, err
			}
		}
		i = end + 1
		end = endOfValue(object, i)
		f.value = object[i:end]
		fields, i = append(fields, f), end+1
	}
	byKey := func(a, b field) int { return cmp.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(fields, byKey) {
		slices.SortFunc(fields, byKey)
	}
	return fields, nil
}

// elementsOf are those of a list.
func elementsOf(list []byte) (elements [][]byte) {
	for i := 1; i < len(list)-1; {
		end := endOfValue(list, i)
		elements, i = append(elements, list[i:end]), end+1
	}
	return elements
}

// endOfValue is the place after the value that begins at i.
func endOfValue(text []byte, i int) int {
	for depth := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
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
