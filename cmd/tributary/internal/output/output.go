// Package output prints documents in the formats of the --output flag: json and yaml.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// Check returns an error if format is not one of the formats of a command.
func Check(format string, formats ...string) error {
	if slices.Contains(formats, format) {
		return nil
	}
	last := len(formats) - 1
	return fmt.Errorf("--output %q: must be %s or %s", format, strings.Join(formats[:last], ", "), formats[last])
}

// JSON prints a value as indented JSON, without escapes for HTML.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Document prints JSON unchanged, or as YAML if format is "yaml".
func Document(w io.Writer, data []byte, format string) error {
	if format == "yaml" {
		var err error
		if data, err = yaml.JSONToYAML(data); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, strings.TrimSuffix(string(data), "\n"))
	return err
}

// Objects prints Kubernetes objects in a form that kubectl reads: a stream of YAML
// documents, or a List in JSON.
func Objects(w io.Writer, objects []fleet.Object, format string) error {
	items := make([]string, len(objects))
	for i, o := range objects {
		items[i] = string(o.JSON)
		if format == "json" {
			continue
		}
		if i > 0 {
			if _, err := fmt.Fprintln(w, "---"); err != nil {
				return err
			}
		}
		if err := Document(w, o.JSON, format); err != nil {
			return err
		}
	}
	if format != "json" {
		return nil
	}
	return Document(w, []byte(`{"apiVersion":"v1","kind":"List","items":[`+strings.Join(items, ",")+`]}`), format)
}
