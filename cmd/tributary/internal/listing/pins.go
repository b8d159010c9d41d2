package listing

import (
	"fmt"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
)

// Pins describes pins.
var Pins = Kind[api.Pin]{
	Noun: "pin",
	Name: func(p api.Pin) string { return "pin/" + p.Name },
	Columns: []table.Column[api.Pin]{
		{Title: "NAME", Text: func(p api.Pin) string { return p.Name }},
		{Title: "FOR", Long: true, Text: func(p api.Pin) string { return selector.Describe(p.Selector, p.Clusters) }},
		{Title: "CLUSTERS", Text: func(p api.Pin) string { return fmt.Sprint(p.Status.Clusters) }},
		{Title: "RELEASE", Text: func(p api.Pin) string { return p.Release }},
		{Title: "EXPIRES", Until: true, Time: func(p api.Pin) *time.Time { return p.ExpiresAt }, None: "never"},
		{Title: "REVISION", Text: func(p api.Pin) string { return textfmt.Revision(p.Revision) }, WideText: func(p api.Pin) string { return p.Revision }},
		{Title: "REASON", Long: true, Text: func(p api.Pin) string { return p.Reason }},
	},
}
