package listing

import (
	"encoding/json"
	"io"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/output"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/fleet"
)

// Object is a Kubernetes object. Its JSON is the Text.
type Object struct {
	Text             json.RawMessage
	APIVersion, Kind string
	Metadata         struct{ Name, Namespace string }
}

// MarshalJSON returns the Text.
func (o Object) MarshalJSON() ([]byte, error) { return o.Text, nil }

// Objects describes objects.
var Objects = Kind[Object]{
	Noun: "object",
	Name: func(o Object) string { return o.Kind + "/" + o.Metadata.Name },
	YAML: func(w io.Writer, all []Object) error {
		objects := make([]fleet.Object, len(all))
		for i := range all {
			objects[i].JSON = all[i].Text
		}
		return output.Objects(w, objects, "yaml")
	},
	Columns: []table.Column[Object]{
		{Title: "KIND", Text: func(o Object) string { return o.Kind }},
		{Title: "NAMESPACE", Text: func(o Object) string { return o.Metadata.Namespace }},
		{Title: "NAME", Text: func(o Object) string { return o.Metadata.Name }},
		{Title: "APIVERSION", Text: func(o Object) string { return o.APIVersion }},
	},
}

// ObjectList returns the document of objects that kubectl reads.
func ObjectList(all []Object) any {
	return struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Items      []Object `json:"items"`
	}{"v1", "List", append([]Object{}, all...)}
}

// ReadObject returns an object of which the server sent the JSON.
func ReadObject(text json.RawMessage) (o Object, err error) {
	type fields Object
	err = json.Unmarshal(text, (*fields)(&o))
	o.Text = text
	return o, err
}
