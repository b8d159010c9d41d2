// Package textdiff prints unified diffs, in colour where the output is a terminal.
//
//	textdiff.New(os.Stdout).Print("apps/web in eu-prod-01", before, after)
package textdiff

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/term"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
)

// Printer prints diffs.
type Printer struct {
	w      io.Writer
	Colour bool // whether styles are applied; set by New
}

// New returns a Printer. It uses colour if w is a terminal, unless NO_COLOR is set
// or TERM is dumb.
func New(w io.Writer) Printer {
	file, ok := w.(*os.File)
	return Printer{w, ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Print prints the difference between two texts under a title. An empty text means
// that the thing does not exist on that side, and the title then ends in "(new)" or
// "(gone)".
func (p Printer) Print(title, before, after string) {
	p.PrintHunks(title, before == "", after == "", Hunks(before, after))
}

// PrintHunks is Print for a difference that Hunks has computed.
func (p Printer) PrintHunks(title string, isNew, isGone bool, hunks string) {
	switch {
	case isNew:
		title += " (new)"
	case isGone:
		title += " (gone)"
	}
	fmt.Fprintln(p.w, p.Styled(Bold, textfmt.Visible(title)))
	for line := range strings.Lines(hunks) {
		line = strings.TrimSuffix(line, "\n")
		switch line[:min(1, len(line))] {
		case "+":
			line = p.Styled(Green, line)
		case "-":
			line = p.Styled(Red, line)
		case "@":
			line = p.Styled(Cyan, line)
		}
		fmt.Fprintln(p.w, line)
	}
}

// Style is an ANSI text attribute.
type Style string

// The styles of a diff.
const (
	Bold  Style = "1"
	Red   Style = "31"
	Green Style = "32"
	Cyan  Style = "36"
)

// Styled returns the line with a style, or the line itself if p uses no colour.
func (p Printer) Styled(style Style, line string) string {
	if !p.Colour || style == "" {
		return line
	}
	return "\x1b[" + string(style) + "m" + line + "\x1b[m"
}

// Hunks returns the unified diff of two texts without the lines that name files; ""
// if the texts are equal.
func Hunks(before, after string) string {
	text := diff.Diff("a", []byte(before), "b", []byte(after))
	if at := bytes.Index(text, []byte("\n@@")); at >= 0 {
		return string(text[at+1:])
	}
	return ""
}
