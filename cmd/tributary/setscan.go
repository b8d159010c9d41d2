package main

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

// scanSetting takes a setting apart. It reads keys as Helm does, and beside that
// keys in quotes; values stay as they are written, for Helm to read. It is stricter
// where Helm drops what it does not understand, or makes a key of it: empty keys,
// blanks around keys, and what stands behind the end of a value.
func scanSetting(s setting) ([]assignment, error) {
	if !utf8.ValidString(s.text) || strings.Contains(s.text, "\x00") {
		return nil, errors.New("must be UTF-8, without NUL")
	}
	in := &setScanner{rest: s.text}
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

// setScanner is what is left of a setting.
type setScanner struct{ rest string }

// next takes one character; 0 at the end.
func (in *setScanner) next() rune {
	if in.rest == "" {
		return 0
	}
	r, size := utf8.DecodeRuneInString(in.rest)
	in.rest = in.rest[size:]
	return r
}

// path reads up to the equals sign, and that too.
func (in *setScanner) path() (fieldPath, error) {
	var path fieldPath
	for {
		key, end, err := in.key()
		if err != nil {
			return nil, err
		}
		if key == "" {
			return nil, fmt.Errorf("a key is empty, after %q", path.String())
		}
		path = append(path, step{key: key})
		for end == '[' {
			index, err := in.index()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			path = append(path, step{index: index, isIndex: true})
			end = in.next()
		}
		switch end {
		case '=':
			return path, nil
		case '.':
		case 0, ',':
			return nil, fmt.Errorf("%s has no value; write %[1]s=…", path)
		default:
			return nil, fmt.Errorf("%s must be followed by =, . or [, not by %q", path, end)
		}
	}
}

// key reads a key and what ends it.
func (in *setScanner) key() (key string, end rune, err error) {
	if strings.HasPrefix(in.rest, `"`) {
		return in.quotedKey()
	}
	var b strings.Builder
	for {
		switch r := in.next(); r {
		case 0, '=', '[', ',', '.':
			if key := b.String(); strings.TrimSpace(key) != key {
				return "", 0, fmt.Errorf("key %q begins or ends with a blank: leave that out, or put the key in quotes", key)
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

func (in *setScanner) quotedKey() (key string, end rune, err error) {
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

// index reads up to the closing bracket, and that too.
func (in *setScanner) index() (int, error) {
	text, rest, found := strings.Cut(in.rest, "]")
	index, err := strconv.Atoi(text)
	if !found || err != nil || index < 0 {
		return 0, errors.New("an index must be a number in brackets, such as [0]")
	}
	in.rest = rest
	return index, nil
}

// value reads a value as it is written, and the comma behind it.
func (in *setScanner) value(isJSON bool) (string, error) {
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
			return "", fmt.Errorf("a comma must stand behind the list, not %q", end)
		}
		return text, nil
	}
	found, err := in.skipTo(',')
	if found {
		text = text[:len(text)-len(in.rest)-1]
	}
	return text, err
}

// skipTo goes behind the next such character that has no backslash before it, or to
// the end where there is none.
func (in *setScanner) skipTo(end rune) (found bool, err error) {
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

var errTrailing = errors.New(`nothing follows the last \`)

func (in *setScanner) json() (string, error) {
	text := strings.TrimLeftFunc(in.rest, unicode.IsSpace)
	if text == "" || text[0] == ',' {
		in.rest = strings.TrimPrefix(text, ",")
		return "", nil // Helm's word for null.
	}
	d := json.NewDecoder(strings.NewReader(text))
	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return "", fmt.Errorf("the value is not JSON: %w", err)
	}
	in.rest = strings.TrimLeftFunc(text[d.InputOffset():], unicode.IsSpace)
	if in.rest != "" && in.rest[0] != ',' {
		return "", fmt.Errorf("a comma must stand behind the value, not %q", in.rest)
	}
	in.rest = strings.TrimPrefix(in.rest, ",")
	return string(value), nil
}
