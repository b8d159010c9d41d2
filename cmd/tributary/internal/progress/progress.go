// Package progress shows the progress of a long command on a terminal, in a line that is
// replaced and finally removed.
//
//	line := progress.New(cmd.ErrOrStderr())
//	defer line.Clear()
//	line.Show("%d of %d clusters", done, total)
package progress

import (
	"fmt"
	"io"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/terminal"
)

// Line is the line. It stays empty during the first second, and if the output is not a
// terminal.
type Line struct {
	w           io.Writer
	terminal    bool
	start, last time.Time
}

// New returns a line of an output.
func New(w io.Writer) *Line {
	return &Line{w: w, terminal: terminal.Is(w) != nil, start: time.Now()}
}

// Show replaces the line, at most ten times a second.
func (l *Line) Show(format string, args ...any) {
	now := time.Now()
	if !l.terminal || now.Sub(l.start) < time.Second || now.Sub(l.last) < 100*time.Millisecond {
		return
	}
	l.last = now
	fmt.Fprintf(l.w, "\r\x1b[K"+format, args...)
}

// Clear removes the line.
func (l *Line) Clear() {
	if !l.last.IsZero() {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}
