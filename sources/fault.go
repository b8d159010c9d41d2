package sources

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/tributary-gitops/tributary/fleet"
)

// fault is something wrong with the fleet repo itself, as opposed to the way to
// it: fetching the same revision again would find it again.
type fault struct {
	// file is relative to the root; empty where no one file is to blame.
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

// passingFault is a fault that may be over without anything being fetched anew:
// what it says is of this moment.
type transientFault struct{ *fault }

// Unwrap makes it the fault that it is.
func (f transientFault) Unwrap() error { return f.fault }

// isLasting tells whether err is a fault that would be found again at any time.
func isPermanent(err error) bool {
	var (
		broken *fault
		passes transientFault
	)
	return errors.As(err, &broken) && !errors.As(err, &passes)
}

// refused is err as one of that revision, where it is a fault of the tree.
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

// printable quotes a name that could break out of its line in a log.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}
