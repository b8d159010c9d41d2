// Package terminal says what a terminal can do, and pages long output on one.
//
//	width := terminal.Width(os.Stdout) // 0 if it is a file or a pipe
//	err := terminal.Page(os.Stdout, func(w io.Writer) error {
//		if terminal.HasColour(w) {
//			...
//		}
//	})
//
// Output that is not a terminal is never styled, cut or paged.
package terminal

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// Style is an ANSI text attribute; "" for none.
type Style string

// The styles.
const (
	Bold   Style = "1"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// page is output that may be shown on a terminal later.
type page struct {
	bytes.Buffer
	on *os.File
}

// Is returns the terminal that w writes to, or nil if that is something else.
func Is(w any) *os.File {
	switch w := w.(type) {
	case *page:
		return w.on
	case *os.File:
		if term.IsTerminal(int(w.Fd())) {
			return w
		}
	}
	return nil
}

// Width returns the number of columns of the terminal that w writes to: that of COLUMNS, if it is set.
// It returns 0 for another output.
func Width(w io.Writer) int {
	width, _ := size(w)
	return width
}

func size(w io.Writer) (width, height int) {
	file := Is(w)
	if file == nil {
		return 0, 0
	}
	width, height, _ = term.GetSize(int(file.Fd())) // 0 where it fails
	for name, n := range map[string]*int{"COLUMNS": &width, "LINES": &height} {
		if given, err := strconv.Atoi(os.Getenv(name)); err == nil && given > 0 {
			*n = given
		}
	}
	return width, height
}

// HasColour reports whether w is a terminal, NO_COLOR is not set, and TERM is not dumb.
func HasColour(w io.Writer) bool {
	return Is(w) != nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Apply returns a text in the style.
func (s Style) Apply(text string) string {
	if s == "" || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[m"
}

// defaultPager shows less than a screen without waiting for a key.
const defaultPager = "less -FRX"

// Page calls print, and shows what it writes through the pager of PAGER where w is a terminal
// that is too small for it. An empty PAGER means no pager, as for Git.
func Page(w io.Writer, print func(io.Writer) error) error {
	pager, isSet := os.LookupEnv("PAGER")
	if isSet && (pager == "" || pager == "cat") || Is(w) == nil || os.Getenv("TERM") == "dumb" {
		return print(w)
	}
	p := &page{on: Is(w)}
	printErr := print(p)
	if _, height := size(w); bytes.Count(p.Bytes(), []byte("\n")) < height || !show(cmp.Or(pager, defaultPager), p) {
		if _, err := w.Write(p.Bytes()); err != nil {
			return err
		}
	}
	return printErr
}

// show reports whether a pager could be started. How it ends does not matter: people leave a
// pager before the end of the text.
func show(pager string, p *page) bool {
	cmd := exec.Command("sh", "-c", pager)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(p.Bytes()), p.on, p.on
	if _, isSet := os.LookupEnv("LESS"); !isSet {
		cmd.Env = append(os.Environ(), "LESS=FRX")
	}
	if name, _, _ := strings.Cut(pager, " "); !strings.Contains(name, "=") {
		if _, err := exec.LookPath(name); err != nil {
			return false
		}
	}
	if cmd.Start() != nil {
		return false
	}
	_ = cmd.Wait()
	return true
}
