package sources

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/tributary-gitops/tributary/fleet"
)

// fault is an error in the content of the fleet repo, as opposed to an error in
// reaching it. Fetching the same revision again gives the same fault.
type fault struct {
	// file is the path from the root; empty if no single file is at fault.
	file    string
	message string
}

func (f *fault) Error() string {
	if f.file == "" {
		return f.message
	}
	return printable(f.file) + ": " + f.message
}

// Unwrap makes a fault a fleet.ErrInvalid.
func (*fault) Unwrap() error { return fleet.ErrInvalid }

// transientFault is a fault that may disappear by itself, without a new
// revision.
type transientFault struct{ *fault }

// Unwrap returns the fault.
func (f transientFault) Unwrap() error { return f.fault }

// isPermanent reports whether err is a fault that the same revision always has.
func isPermanent(err error) bool {
	var (
		broken *fault
		passes transientFault
	)
	return errors.As(err, &broken) && !errors.As(err, &passes)
}

// asRefused returns err as a fleet.RefusedError of the revision if err is a
// fault. Any other error is returned unchanged.
func asRefused(revision string, err error) error {
	var broken *fault
	if !errors.As(err, &broken) {
		return err
	}
	p := fleet.Problem{Message: broken.message}
	if broken.file != "" {
		p.File = printable(broken.file)
	}
	return &fleet.RefusedError{Revision: revision, Problem: p}
}

// printable quotes a name if it contains characters that could break out of a
// log line.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}
