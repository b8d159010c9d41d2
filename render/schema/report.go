package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// violation is one thing that a value lacks or has too much, and what to do.
type violation struct{ path, message, hint string }

// reporter puts the errors of the library into words: one line for each problem, at the field
// that it is about, with numbers as they were written. Of alternatives it reports the one that
// was probably meant.
type reporter struct {
	value any // that was validated
	// known returns the properties of a subschema by its URL; nil where they are unknown.
	known func(url string) []string
	found []violation
}

// report calls fault for the violations that have no further cause.
func (s *Schema) report(input any, err error, fault func(path, message string)) {
	if err == nil {
		return
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		fault("", err.Error()+", according to "+s.file)
		return
	}
	r := reporter{value: input, known: s.properties}
	r.add(invalid)
	for i, v := range r.found {
		if i < maxViolations {
			fault(v.path, shorten(v.message)+", according to "+s.file+v.hint)
		}
	}
	if more := len(r.found) - maxViolations; more > 0 {
		fault("", fmt.Sprintf("has %d more violations, according to %s", more, s.file))
	}
}

// properties returns the names that a subschema declares.
func (s *Schema) properties(url string) (names []string) {
	for _, sub := range s.subschemas {
		if sub.Location == url {
			for name := range sub.Properties {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (r *reporter) add(e *jsonschema.ValidationError) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		if len(e.Causes) > 1 {
			r.addMeant(e)
			return
		}
	}
	if len(e.Causes) == 0 {
		r.word(e)
	}
	for _, cause := range e.Causes {
		r.add(cause)
	}
}

// fit says how far an alternative is from a value. Smaller ones are nearer: one that is for
// other types of value is further away than one whose constants differ, and that further than
// one that has other violations.
type fit struct{ otherType, constants, violations int }

func (f fit) less(g fit) bool {
	if f.otherType != g.otherType {
		return f.otherType < g.otherType
	}
	if f.constants != g.constants {
		return f.constants < g.constants
	}
	return f.violations < g.violations
}

// addMeant adds the violations of the alternative that fits best.
func (r *reporter) addMeant(e *jsonschema.ValidationError) {
	fits := make([]fit, len(e.Causes))
	best, same := 0, 0
	for i, alternative := range e.Causes {
		measureFit(alternative, len(e.InstanceLocation), &fits[i])
		switch {
		case fits[i].less(fits[best]):
			best, same = i, 1
		case fits[i] == fits[best]:
			same++
		}
	}
	if types := wantedTypes(e); fits[best].otherType > 0 && types != nil {
		r.word(&jsonschema.ValidationError{InstanceLocation: e.InstanceLocation, ErrorKind: &kind.Type{Want: types}})
		return
	}
	before := len(r.found)
	r.add(e.Causes[best])
	if same > 1 && len(r.found) > before {
		r.found = r.found[:before+1]
		r.found[before].message += fmt.Sprintf(", or match another of %d alternatives", len(e.Causes))
	}
}

func measureFit(e *jsonschema.ValidationError, depth int, f *fit) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			measureFit(cause, depth, f)
		}
		return
	}
	f.violations++
	switch e.ErrorKind.(type) {
	case *kind.Type:
		if len(e.InstanceLocation) == depth {
			f.otherType++
		}
	case *kind.Const, *kind.Enum:
		if len(e.InstanceLocation) <= depth+1 {
			f.constants++
		}
	}
}

// wantedTypes returns the types of alternatives that are all for other types than the value's;
// nil if some are not.
func wantedTypes(e *jsonschema.ValidationError) (types []string) {
	for _, alternative := range e.Causes {
		wanted, ok := alternative.ErrorKind.(*kind.Type)
		if !ok {
			return nil
		}
		types = append(types, wanted.Want...)
	}
	return types
}

// word adds an error without causes.
func (r *reporter) word(e *jsonschema.ValidationError) {
	at := func(more ...string) string {
		return strings.Join(append(slices.Clone(e.InstanceLocation), more...), ".")
	}
	add := func(path, format string, args ...any) {
		r.found = append(r.found, violation{path: path, message: fmt.Sprintf(format, args...)})
	}
	hint := func(text string) { r.found[len(r.found)-1].hint = text }
	value := yamltext.ValueAt(r.value, e.InstanceLocation)
	is := describe(value)
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		add(at(), "must be %s, is %s", typeNames(k.Want), is)
		hint(quotesHint(k.Want, value))
	case *kind.Enum:
		var names []string
		for _, want := range k.Want {
			if name := strings.Trim(describe(want), `"`); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		text, _ := value.(string)
		add(at(), "must be one of %s, is %s", few(names), is)
		hint(nearest.Hint(text, names))
	case *kind.Const:
		switch k.Want.(type) {
		case []any, map[string]any:
			add(at(), "must be exactly what the schema has as const")
		default:
			add(at(), "must be %s, is %s", describe(k.Want), is)
		}
	case *kind.Required:
		for _, name := range k.Missing {
			add(at(name), "must be set")
		}
	case *kind.AdditionalProperties:
		known := r.known(e.SchemaURL)
		for _, name := range k.Properties {
			add(at(name), "unknown field")
			if hint(nearest.Hint(name, known)); len(known) > 0 && nearest.Hint(name, known) == "" {
				hint("; known fields are " + few(known))
			}
		}
	case *kind.FalseSchema:
		add(at(), "is not allowed here")
	case *kind.Pattern:
		add(at(), "must match %s, is %s", k.Want, is)
	case *kind.Minimum:
		add(at(), "must be at least %s, is %s", decimal(k.Want), is)
	case *kind.Maximum:
		add(at(), "must be at most %s, is %s", decimal(k.Want), is)
	case *kind.ExclusiveMinimum:
		add(at(), "must be more than %s, is %s", decimal(k.Want), is)
	case *kind.ExclusiveMaximum:
		add(at(), "must be less than %s, is %s", decimal(k.Want), is)
	case *kind.MultipleOf:
		add(at(), "must be a multiple of %s, is %s", decimal(k.Want), is)
	case *kind.MinLength:
		add(at(), "must have at least %d characters, is %s", k.Want, is)
	case *kind.MaxLength:
		add(at(), "must have at most %d characters, has %d", k.Want, k.Got)
	case *kind.MinItems:
		add(at(), "must have at least %d entries, has %d", k.Want, k.Got)
	case *kind.MaxItems:
		add(at(), "must have at most %d entries, has %d", k.Want, k.Got)
	case *kind.Format:
		add(at(), "must be of the format %s, is %s: %v", k.Want, is, k.Err)
	default:
		add(at(), "%s", k.LocalizedString(message.NewPrinter(language.English)))
	}
}

// few joins names, the first ones of many.
func few(names []string) string {
	const most = 20
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// describe writes a value: texts in quotes, and numbers as they are written.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return shortenTo(strconv.Quote(v), maxMessage/4)
	case json.Number:
		return v.String()
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v)
}

func typeNames(types []string) string {
	names := map[string]string{
		"string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false", "object": "a mapping", "array": "a list",
	}
	var out []string
	for _, t := range types {
		if name, ok := names[t]; ok {
			t = name
		}
		if !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return strings.Join(out, " or ")
}

// quotesHint says what to do about quotes that are missing, or too much.
func quotesHint(want []string, v any) string {
	switch v := v.(type) {
	case json.Number, bool:
		if slices.Contains(want, "string") {
			return "; put it in quotes"
		}
	case string:
		_, err := strconv.ParseFloat(v, 64)
		isNumber := err == nil && (slices.Contains(want, "integer") || slices.Contains(want, "number"))
		if isNumber || (v == "true" || v == "false") && slices.Contains(want, "boolean") {
			return "; remove the quotes"
		}
	}
	return ""
}

// decimal writes a number of a schema in full.
func decimal(n *big.Rat) string {
	if n.IsInt() {
		return n.Num().String()
	}
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func shorten(text string) string { return shortenTo(text, maxMessage) }

func shortenTo(text string, size int) string {
	if len(text) <= size {
		return text
	}
	return strings.ToValidUTF8(text[:size], "") + "…"
}

// FileError is what is wrong in the file of a schema.
type FileError struct {
	File         string
	Line, Column int
	Field        string
	Message      string
}

// Error returns the message with its place.
func (e *FileError) Error() string {
	text := e.File
	if e.Line > 0 {
		text += ":" + strconv.Itoa(e.Line)
	}
	if e.Field != "" {
		text += ": " + e.Field
	}
	return text + ": " + e.Message
}

// locate returns an error of the library for the place in a file that it is about; nil where
// that is unknown.
func (d *documents) locate(file string, err error) *FileError {
	var (
		syntax  *FileError
		invalid *jsonschema.SchemaValidationError
		pointer *jsonschema.JSONPointerNotFoundError
		loading *jsonschema.LoadURLError
		details *jsonschema.ValidationError
	)
	if errors.As(err, &loading) && errors.As(loading.Err, &syntax) {
		return syntax
	}
	switch {
	case errors.As(err, &invalid) && errors.As(invalid.Err, &details):
		name, _, _ := strings.Cut(strings.TrimPrefix(invalid.URL, treeURL), "#")
		r := reporter{value: d.contents[name], known: func(string) []string { return nil }}
		if r.add(details); len(r.found) == 0 {
			return nil
		}
		first := r.found[0]
		keys := strings.Split(first.path, ".")
		return &FileError{File: name, Line: d.lineOf(name, `"`+keys[len(keys)-1]+`"`), Field: first.path, Message: first.message + first.hint}
	case errors.As(err, &pointer):
		name, fragment, _ := strings.Cut(strings.TrimPrefix(pointer.URL, treeURL), "#")
		for _, from := range append([]string{file}, d.files...) {
			if line := d.lineOf(from, "#"+fragment+`"`); line > 0 {
				return &FileError{File: from, Line: line, Field: "$ref", Message: "there is no #" + fragment + " in " + name}
			}
		}
	case loading != nil && strings.TrimPrefix(loading.URL, treeURL) != file:
		ref := strings.TrimPrefix(loading.URL, treeURL)
		for _, from := range append([]string{file}, d.files...) {
			if line := d.lineOf(from, path.Base(ref)); line > 0 {
				return &FileError{File: from, Line: line, Field: "$ref", Message: ref + ": " + strings.TrimPrefix(loading.Err.Error(), ref+" ")}
			}
		}
	}
	return nil
}

// lineOf returns the first line of a file that was read with a text; 0 for none.
func (d *documents) lineOf(file, text string) int {
	before, _, found := strings.Cut(d.texts[file], text)
	if !found {
		return 0
	}
	return 1 + strings.Count(before, "\n")
}

// syntaxError says where a text is not JSON.
func syntaxError(file, text string, err error) error {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return &FileError{File: file, Message: "not JSON: " + err.Error()}
	}
	before := text[:max(0, min(int(syntax.Offset)-1, len(text)))]
	return &FileError{
		File: file, Line: 1 + strings.Count(before, "\n"), Column: len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1,
		Message: "not JSON: " + err.Error(),
	}
}
