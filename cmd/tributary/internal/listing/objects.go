package listing

import (
	"encoding/json"
	"io"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
)

// Objects prints a row for each object.
func Objects(w io.Writer, texts []json.RawMessage) error {
	t := table.New(w, "KIND", "NAMESPACE", "NAME", "APIVERSION")
	for _, text := range texts {
		var object struct {
			APIVersion, Kind string
			Metadata         struct{ Name, Namespace string }
		}
		if err := json.Unmarshal(text, &object); err != nil {
			return err
		}
		t.Row(object.Kind, object.Metadata.Namespace, object.Metadata.Name, object.APIVersion)
	}
	return t.Flush()
}
