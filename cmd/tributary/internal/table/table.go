// Package table prints lists as aligned columns.
//
//	t := table.New(os.Stdout, "NAME", "STATE")
//	t.Row("eu-prod-01", "active")
//	return t.Flush()
package table

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
)

// Table collects rows and prints them when it is flushed.
type Table struct{ w *tabwriter.Writer }

// New returns a table with a heading for each column.
func New(w io.Writer, columns ...string) Table {
	t := Table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.StripEscape)}
	t.Row(columns...)
	return t
}

// Row adds a row. An empty cell is printed as a dash, so that scripts can count
// columns. Control characters are replaced.
func (t Table) Row(cells ...string) {
	for i, cell := range cells {
		if cells[i] = textfmt.Visible(cell); cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// Flush prints the rows.
func (t Table) Flush() error { return t.w.Flush() }
