package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/term"
)

// diffPrinter prints unified diffs for people: in colour on a terminal only.
type diffPrinter struct {
	w      io.Writer
	colour bool
}

func newDiffPrinter(w io.Writer) diffPrinter {
	file, ok := w.(*os.File)
	return diffPrinter{w, ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// print prints what lies between two texts under a title, which says so where
// either is empty.
func (d diffPrinter) print(title, before, after string) {
	d.printHunks(title, before == "", after == "", hunks(before, after))
}

func (d diffPrinter) printHunks(title string, isNew, isGone bool, hunks string) {
	switch {
	case isNew:
		title += " (new)"
	case isGone:
		title += " (gone)"
	}
	fmt.Fprintln(d.w, d.in(bold, visible(title)))
	for line := range strings.Lines(hunks) {
		line = strings.TrimSuffix(line, "\n")
		switch line[:min(1, len(line))] {
		case "+":
			line = d.in(green, line)
		case "-":
			line = d.in(red, line)
		case "@":
			line = d.in(cyan, line)
		}
		fmt.Fprintln(d.w, line)
	}
}

const (
	bold  = "1"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (d diffPrinter) in(style, text string) string {
	if !d.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[m"
}

// hunks is the unified diff of two texts, without the lines that name files; ""
// where they are the same.
func hunks(before, after string) string {
	text := diff.Diff("a", []byte(before), "b", []byte(after))
	if at := bytes.Index(text, []byte("\n@@")); at >= 0 {
		return string(text[at+1:])
	}
	return ""
}
