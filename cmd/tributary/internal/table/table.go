// Package table prints lists as aligned columns.
//
//	columns := []table.Column[api.Pin]{
//		{Title: "NAME", Text: func(p api.Pin) string { return p.Name }},
//		{Title: "AGE", WideTitle: "CREATED", Time: func(p api.Pin) *time.Time { return p.CreatedAt }},
//		{Title: "REASON", Text: func(p api.Pin) string { return p.Reason }, Long: true},
//	}
//	err := table.New(os.Stdout, columns, table.Options{}).Print(pins...)
//
// On a terminal, long columns are shortened so that a row is a line. Elsewhere every cell is
// whole, so that scripts find what they look for.
package table

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
)

// Column describes a column of a table of T. It has a Text or a Time.
type Column[T any] struct {
	Title string
	Text  func(T) string
	// Time is shown as how long ago it was, or with Until as how long it takes until then. In a
	// wide table it is shown as a time, under the WideTitle if there is one.
	Time      func(T) *time.Time
	Until     bool
	WideTitle string
	// None is shown for an empty cell; by default a dash.
	None string
	// Wide marks a column that is shown with Options.Wide alone.
	Wide bool
	// WideText replaces Text in a wide table.
	WideText func(T) string
	// Long marks a column that is shortened where a terminal is too narrow for all.
	Long bool
	// Style returns the style of a cell; nil for none.
	Style func(T) terminal.Style
}

// Options say how a table is printed.
type Options struct {
	Wide       bool
	NoHeadings bool
	Now        time.Time // that ages are counted from; the zero time for the present
}

// Printer prints the rows of a table. Later rows are aligned with earlier ones.
type Printer[T any] struct {
	w       io.Writer
	columns []Column[T]
	options Options
	widths  []int
}

// New returns a printer of a table.
func New[T any](w io.Writer, columns []Column[T], o Options) *Printer[T] {
	if !o.Wide {
		columns = slices.DeleteFunc(slices.Clone(columns), func(c Column[T]) bool { return c.Wide })
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	return &Printer[T]{w: w, columns: columns, options: o}
}

// Print prints a row for each item, at first below the headings.
func (p *Printer[T]) Print(items ...T) error {
	var rows [][]string
	isFirst := p.widths == nil
	if isFirst {
		p.widths = make([]int, len(p.columns))
	}
	if isFirst && !p.options.NoHeadings {
		rows = append(rows, p.headings())
	}
	headings := len(rows)
	for _, item := range items {
		rows = append(rows, p.cells(item))
	}
	for _, row := range rows {
		for i, cell := range row {
			p.widths[i] = max(p.widths[i], utf8.RuneCountInString(cell))
		}
	}
	widths := p.fit(terminal.Width(p.w))
	colour, text := terminal.HasColour(p.w), strings.Builder{}
	for r, row := range rows {
		for i, cell := range row {
			cell = textfmt.Shorten(cell, widths[i])
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+gap)
			if style := p.columns[i].Style; style != nil && r >= headings && colour {
				cell = style(items[r-headings]).Apply(cell)
			}
			text.WriteString(cell)
			if i < len(row)-1 {
				text.WriteString(padding)
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(p.w, text.String())
	return err
}

// gap is the space between two columns.
const gap = 2

// minLong is how much of a long cell is left at least.
const minLong = 12

// fit returns the widths of the columns where the terminal has some width; 0 stands for any. It
// takes from the widest long column first.
func (p *Printer[T]) fit(width int) []int {
	widths := slices.Clone(p.widths)
	if width == 0 {
		return widths
	}
	excess := gap*(len(widths)-1) - width
	for _, w := range widths {
		excess += w
	}
	for ; excess > 0; excess-- {
		widest := -1
		for i, c := range p.columns {
			if c.Long && widths[i] > minLong && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (p *Printer[T]) headings() []string {
	all := make([]string, len(p.columns))
	for i, c := range p.columns {
		all[i] = c.Title
		if p.options.Wide {
			all[i] = cmp.Or(c.WideTitle, c.Title)
		}
	}
	return all
}

// cells returns the row of an item. An empty cell is a dash, so that scripts can count columns.
// Control characters are replaced.
func (p *Printer[T]) cells(item T) []string {
	all := make([]string, len(p.columns))
	for i, c := range p.columns {
		all[i] = cmp.Or(textfmt.Visible(c.cell(item, p.options)), c.None, "-")
	}
	return all
}

func (c *Column[T]) cell(item T, o Options) string {
	switch {
	case c.Time != nil && o.Wide:
		if t := c.Time(item); t != nil {
			return textfmt.Time(*t)
		}
		return ""
	case c.Until:
		return textfmt.Until(c.Time(item), o.Now)
	case c.Time != nil:
		return textfmt.Age(c.Time(item), o.Now)
	case c.WideText != nil && o.Wide:
		return c.WideText(item)
	}
	return c.Text(item)
}

// State returns the cells of an item that do not depend on the time at which they are printed.
func State[T any](columns []Column[T], item T) string {
	var cells []string
	for _, c := range columns {
		if c.Time == nil {
			cells = append(cells, c.Text(item))
		}
	}
	return strings.Join(cells, "\x00")
}

// Compare returns the order of two items in a column: of times, numbers or texts.
func (c *Column[T]) Compare(a, b T) int {
	if c.Time == nil {
		return CompareText(c.Text(a), c.Text(b))
	}
	x, y := c.Time(a), c.Time(b)
	switch {
	case x == y: // both nil
		return 0
	case x == nil:
		return -1
	case y == nil:
		return 1
	}
	return x.Compare(*y)
}

// CompareText returns the order of two texts: of numbers or times if both are such.
func CompareText(a, b string) int {
	if x, err := strconv.ParseFloat(a, 64); err == nil {
		if y, err := strconv.ParseFloat(b, 64); err == nil {
			return cmp.Compare(x, y)
		}
	}
	if x, err := time.Parse(time.RFC3339, a); err == nil {
		if y, err := time.Parse(time.RFC3339, b); err == nil {
			return x.Compare(y)
		}
	}
	return strings.Compare(a, b)
}
