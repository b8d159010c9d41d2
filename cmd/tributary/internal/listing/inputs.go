package listing

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
)

// Input is an input of a set.
type Input struct {
	Set, ID string
	Fields  map[string]json.RawMessage
}

// MarshalJSON returns the fields.
func (i Input) MarshalJSON() ([]byte, error) { return json.Marshal(i.Fields) }

// Inputs describes inputs.
var Inputs = Kind[Input]{
	Noun: "input",
	Name: func(i Input) string { return i.Set + "/" + i.ID },
	Columns: []table.Column[Input]{
		{Title: "SET", Text: func(i Input) string { return i.Set }},
		{Title: "ID", Text: func(i Input) string { return i.ID }},
		{Title: "FIELDS", Long: true, Text: func(i Input) string { return inputSummary(i.Fields, maxSummary) }, WideText: func(i Input) string { return inputSummary(i.Fields, maxWideSummary) }},
	},
}

// ReadInputs returns the inputs of an answer to a poll of a set.
func ReadInputs(set string, answer json.RawMessage) ([]Input, error) {
	var fields struct{ Inputs []map[string]json.RawMessage }
	if err := json.Unmarshal(answer, &fields); err != nil {
		return nil, err
	}
	all := make([]Input, len(fields.Inputs))
	for i, input := range fields.Inputs {
		all[i] = Input{Set: set, Fields: input}
		if err := json.Unmarshal(input["id"], &all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// maxSummary and maxWideSummary limit how much of an input a row shows, in characters.
const (
	maxSummary     = 36
	maxWideSummary = 1000
)

// inputSummary returns the fields of an input, shortened to one row.
func inputSummary(input map[string]json.RawMessage, limit int) string {
	text := ""
	for _, field := range slices.Sorted(maps.Keys(input)) {
		if field != "id" && field != "cluster" {
			text += field + "=" + string(input[field]) + " "
		}
	}
	return textfmt.Shorten(strings.TrimSpace(text), limit)
}
