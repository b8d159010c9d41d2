package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/duration"
)

// table is what people are shown of a list.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.StripEscape)}
	t.row(columns...)
	return t
}

// row adds a line. What is empty is shown as a dash, so that columns can be
// counted, and what a terminal would obey is made visible.
func (t table) row(cells ...string) {
	for i, cell := range cells {
		if cells[i] = visible(cell); cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t table) end() error { return t.w.Flush() }

// visible has control characters, which others may have written, do nothing.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, text)
}

// clock shows a time as people read it, to the second.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
}

// age is how long ago something was, in round numbers; "" for never. Clocks of
// other machines may be ahead.
func age(t *time.Time, now time.Time) string {
	if t == nil {
		return ""
	}
	return duration.HumanDuration(max(0, now.Sub(*t)))
}

// some names the first few and counts the rest.
func some(names []string, most int) string {
	if len(names) <= most+1 { // "and 1 more" is no shorter than a name
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
