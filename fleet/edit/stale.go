package edit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// NewStaleParts returns those stale parts of a cluster that were not stale before some changes of
// deltas. A part that a change keeps as it is may go on being stale, unless strict is set.
func NewStaleParts(changes []fleet.DeltaChange, strict bool, before, after []fleet.StalePart) []fleet.StalePart {
	return slices.DeleteFunc(slices.Clone(after), func(s fleet.StalePart) bool {
		c := changeOf(changes, s.Delta)
		return slices.ContainsFunc(before, func(old fleet.StalePart) bool {
			if c == nil || old.Delta != s.Delta {
				return old.Part == s.Part
			}
			return !strict && partOf(c.Before, old.Field) == partOf(c.After, s.Field)
		})
	})
}

// changeOf returns the change of a delta, or nil.
func changeOf(changes []fleet.DeltaChange, id string) *fleet.DeltaChange {
	if at := slices.IndexFunc(changes, func(c fleet.DeltaChange) bool { return c.Delta == id }); at >= 0 {
		return &changes[at]
	}
	return nil
}

// partOf returns what a delta has in a field such as patches[0], as text; "" for nothing.
func partOf(d *fleet.Delta, field string) string {
	if d == nil {
		return ""
	}
	list, index, _ := strings.Cut(strings.TrimSuffix(field, "]"), "[")
	var fields map[string]json.RawMessage
	var parts []json.RawMessage
	if json.Unmarshal(fleet.EncodeJSON(d), &fields) != nil || json.Unmarshal(fields[list], &parts) != nil {
		return ""
	}
	for i, part := range parts {
		if fmt.Sprint(i) == index {
			return string(part)
		}
	}
	return ""
}
