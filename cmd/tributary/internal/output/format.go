package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

// Format is a format in which things are listed. The zero Format is a table.
type Format struct {
	Name     string // "", wide, name, json, yaml or jsonpath
	template *jsonpath.JSONPath
}

// Formats are the formats of a list, for help texts.
const Formats = "wide, name, json, yaml or jsonpath=TEMPLATE"

// ParseFormat reads the value of a flag --output, as kubectl does.
func ParseFormat(text string) (Format, error) {
	name, template, hasTemplate := strings.Cut(text, "=")
	switch {
	case name == "jsonpath" && template != "":
		parsed, err := jsonPath(template)
		if err != nil {
			return Format{}, fmt.Errorf("--output %q: %w", text, err)
		}
		return Format{name, parsed}, nil
	case name == "jsonpath":
		return Format{}, errors.New("--output jsonpath: needs a template, such as jsonpath='{.items[*].name}'")
	case !hasTemplate && (name == "" || name == "wide" || name == "name" || name == "json" || name == "yaml"):
		return Format{Name: name}, nil
	}
	return Format{}, fmt.Errorf("--output %q: must be %s", text, Formats)
}

// IsTable reports whether the format is a table.
func (f Format) IsTable() bool { return f.Name == "" || f.Name == "wide" }

// Print prints a document as JSON, as YAML, or by the template.
func (f Format) Print(w io.Writer, v any) error {
	if text, ok := v.(json.RawMessage); ok && f.Name != "jsonpath" {
		return Document(w, text, f.Name)
	}
	switch f.Name {
	case "json":
		return JSON(w, v)
	case "yaml":
		text, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	fields, err := Fields(v)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := f.template.Execute(&text, fields); err != nil {
		return errors.New("--output jsonpath: the template does not fit the document, which -o json shows")
	}
	_, err = w.Write(text.Bytes())
	return err
}

// Fields returns the JSON document of v, decoded. Whole numbers are int64.
func Fields(v any) (fields any, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fields, utiljson.Unmarshal(text, &fields)
}

// Path returns a function that finds the text of a field, given as kubectl takes it: {.name},
// .name or name.
func Path(field string) (func(v any) (text string, found bool, err error), error) {
	template, err := jsonPath(field)
	if err != nil {
		return nil, err
	}
	return func(v any) (string, bool, error) {
		fields, err := Fields(v)
		if err != nil {
			return "", false, err
		}
		var text bytes.Buffer
		found, err := template.FindResults(fields)
		if err != nil || len(found) == 0 || len(found[0]) == 0 {
			return "", false, nil
		}
		err = template.PrintResults(&text, found[0][:1])
		return text.String(), true, err
	}, nil
}

// bare matches a path without its braces.
var bare = regexp.MustCompile(`^[^{}]+$`)

func jsonPath(template string) (*jsonpath.JSONPath, error) {
	if bare.MatchString(template) {
		template = "{." + strings.TrimPrefix(template, ".") + "}"
	}
	parsed := jsonpath.New("output").AllowMissingKeys(true)
	return parsed, parsed.Parse(template)
}
