package setting

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scan parses a setting. It reads keys as Helm does, and also keys in quotes. Values
// stay as written, and Helm reads them later. Scan is stricter than Helm, which drops or
// guesses at empty keys, blanks around keys and text after the end of a value.
func scan(s setting) ([]assignment, error) {
	if !utf8.ValidString(s.text) || strings.Contains(s.text, "\x00") {
		return nil, errors.New("must be UTF-8, without NUL")
	}
	in := &scanner{rest: s.text}
	var all []assignment
	for in.rest != "" {
		path, err := in.path()
		if err != nil {
			return nil, err
		}
		value, err := in.value(s.flag == "set-json")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, assignment{s.flag, path, value})
	}
	if len(all) == 0 {
		return nil, errors.New("must be key=value")
	}
	return all, nil
}

// scanner holds the rest of a setting.
type scanner struct{ rest string }

// next consumes one character and returns it; 0 at the end.
func (in *scanner) next() rune {
	if in.rest == "" {
		return 0
	}
	r, size := utf8.DecodeRuneInString(in.rest)
	in.rest = in.rest[size:]
	return r
}

// path reads up to and including the equals sign.
func (in *scanner) path() (path, error) {
	var read path
	for {
		key, end, err := in.key()
		if err != nil {
			return nil, err
		}
		if key == "" {
			return nil, fmt.Errorf("the key after %q is empty", read.String())
		}
		read = append(read, step{key: key})
		for end == '[' {
			index, err := in.index()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", read, err)
			}
			read = append(read, step{index: index, isIndex: true})
			end = in.next()
		}
		switch end {
		case '=':
			return read, nil
		case '.':
		case 0, ',':
			return nil, fmt.Errorf("%s has no value; write %[1]s=…", read)
		default:
			return nil, fmt.Errorf("%s must be followed by =, . or [, not by %q", read, end)
		}
	}
}

// key reads a key and the character that ends it.
func (in *scanner) key() (key string, end rune, err error) {
	if strings.HasPrefix(in.rest, `"`) {
		return in.quotedKey()
	}
	var b strings.Builder
	for {
		switch r := in.next(); r {
		case 0, '=', '[', ',', '.':
			if key := b.String(); strings.TrimSpace(key) != key {
				return "", 0, fmt.Errorf("key %q begins or ends with a blank: remove the blank, or quote the key", key)
			}
			return b.String(), r, nil
		case '\\':
			if in.rest == "" {
				return "", 0, errTrailing
			}
			b.WriteRune(in.next())
		default:
			b.WriteRune(r)
		}
	}
}

func (in *scanner) quotedKey() (key string, end rune, err error) {
	in.next()
	var b strings.Builder
	for {
		if in.rest == "" {
			return "", 0, errors.New(`a quote " is not closed`)
		}
		switch r := in.next(); r {
		case '"':
			return b.String(), in.next(), nil
		case '\\':
			if in.rest != "" {
				b.WriteRune(in.next())
			}
		default:
			b.WriteRune(r)
		}
	}
}

// index reads up to and including the closing bracket.
func (in *scanner) index() (int, error) {
	text, rest, found := strings.Cut(in.rest, "]")
	index, err := strconv.Atoi(text)
	if !found || err != nil || index < 0 {
		return 0, errors.New("an index must be a number in brackets, such as [0]")
	}
	in.rest = rest
	return index, nil
}

// value reads a value as written, and the comma after it.
func (in *scanner) value(isJSON bool) (string, error) {
	text := in.rest
	switch {
	case isJSON:
		return in.json()
	case strings.HasPrefix(text, "{"):
		in.next()
		if found, err := in.skipTo('}'); err != nil || !found {
			return "", cmp.Or(err, errors.New("the list must end with }"))
		}
		text = text[:len(text)-len(in.rest)]
		if end := in.next(); end != ',' && end != 0 {
			return "", fmt.Errorf("expected a comma after the list, not %q", end)
		}
		return text, nil
	}
	found, err := in.skipTo(',')
	if found {
		text = text[:len(text)-len(in.rest)-1]
	}
	return text, err
}

// skipTo moves past the next such character that has no backslash before it, or to the
// end if there is none.
func (in *scanner) skipTo(end rune) (found bool, err error) {
	for {
		switch r := in.next(); r {
		case 0, end:
			return r == end, nil
		case '\\':
			if in.next() == 0 {
				return false, errTrailing
			}
		}
	}
}

var errTrailing = errors.New(`the last \ escapes nothing`)

func (in *scanner) json() (string, error) {
	text := strings.TrimLeftFunc(in.rest, unicode.IsSpace)
	if text == "" || text[0] == ',' {
		in.rest = strings.TrimPrefix(text, ",")
		return "", nil // Helm reads an empty value as null
	}
	d := json.NewDecoder(strings.NewReader(text))
	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return "", fmt.Errorf("the value is not JSON: %w", err)
	}
	in.rest = strings.TrimLeftFunc(text[d.InputOffset():], unicode.IsSpace)
	if in.rest != "" && in.rest[0] != ',' {
		return "", fmt.Errorf("expected a comma after the value, not %q", in.rest)
	}
	in.rest = strings.TrimPrefix(in.rest, ",")
	return string(value), nil
}
