// Package textdiff prints unified diffs, in colour where the output is a terminal.
//
//	textdiff.New(os.Stdout).Print("apps/web in eu-prod-01", before, after)
package textdiff

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
)

// Printer prints diffs.
type Printer struct {
	w      io.Writer
	Colour bool // whether styles are applied; set by New
}

// New returns a Printer. It uses colour where the output has it.
func New(w io.Writer) Printer { return Printer{w, terminal.HasColour(w)} }

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
	fmt.Fprintln(p.w, p.Styled(terminal.Bold, textfmt.Visible(title)))
	for line := range strings.Lines(hunks) {
		line = strings.TrimSuffix(line, "\n")
		switch line[:min(1, len(line))] {
		case "+":
			line = p.Styled(terminal.Green, line)
		case "-":
			line = p.Styled(terminal.Red, line)
		case "@":
			line = p.Styled(terminal.Cyan, line)
		}
		fmt.Fprintln(p.w, line)
	}
}

// Styled returns the line with a style, or the line itself if p uses no colour.
func (p Printer) Styled(style terminal.Style, line string) string {
	if !p.Colour {
		return line
	}
	return style.Apply(line)
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
