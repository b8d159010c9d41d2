package listing

import (
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
)

// maxSummary limits how much of an input a row shows, in characters.
const maxSummary = 100

// Inputs prints a row for each input of the sets.
func Inputs(w io.Writer, sets map[string]json.RawMessage) error {
	t := table.New(w, "SET", "ID", "FIELDS")
	for _, set := range slices.Sorted(maps.Keys(sets)) {
		var answer struct{ Inputs []map[string]json.RawMessage }
		if err := json.Unmarshal(sets[set], &answer); err != nil {
			return err
		}
		for _, input := range answer.Inputs {
			var id string
			if err := json.Unmarshal(input["id"], &id); err != nil {
				return err
			}
			t.Row(set, id, inputSummary(input))
		}
	}
	return t.Flush()
}

// inputSummary returns the fields of an input, shortened to one row.
func inputSummary(input map[string]json.RawMessage) string {
	text := ""
	for _, field := range slices.Sorted(maps.Keys(input)) {
		if field != "id" && field != "cluster" {
			text += field + "=" + string(input[field]) + " "
		}
	}
	if runes := []rune(text); len(runes) > maxSummary {
		return string(runes[:maxSummary]) + "…"
	}
	return text
}
