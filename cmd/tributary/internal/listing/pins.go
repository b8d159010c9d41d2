package listing

import (
	"fmt"
	"io"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
)

// Pins prints a row for each pin.
func Pins(w io.Writer, pins []api.Pin) error {
	t := table.New(w, "NAME", "FOR", "CLUSTERS", "RELEASE", "EXPIRES", "REASON", "REVISION")
	for _, p := range pins {
		expires := "never"
		if p.ExpiresAt != nil {
			expires = textfmt.Time(*p.ExpiresAt)
		}
		t.Row(p.Name, selector.Describe(p.Selector, p.Clusters), fmt.Sprint(p.Status.Clusters), p.Release, expires, p.Reason, p.Revision)
	}
	return t.Flush()
}
