package tree

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// Fault is an error in the content of a fleet repo, as opposed to an error in
// reaching it. Fetching the same revision again gives the same fault.
type Fault struct {
	// file is the path from the root; empty if no single file is at fault.
	file    string
	message string
	// Transient is true if the fault may disappear by itself, without a new
	// revision.
	Transient bool
	// local is true if only this file cannot be used. See Unusable.
	local bool
}

// NewFault returns a fault of a file, whose name is empty if no single file is
// at fault.
func NewFault(file, format string, args ...any) *Fault {
	return &Fault{file: shorten(file, 1024), message: fmt.Sprintf(format, args...)}
}

// NewLocalFault returns a fault that concerns no other file.
func NewLocalFault(file, format string, args ...any) *Fault {
	f := NewFault(file, format, args...)
	f.local = true
	return f
}

// shorten returns a path of at most that many bytes, and an ellipsis.
func shorten(name string, most int) string {
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

func (f *Fault) Error() string {
	if f.file == "" {
		return f.message
	}
	return message.Printable(f.file) + ": " + f.message
}

// Unwrap makes a fault a fleet.ErrInvalid.
func (*Fault) Unwrap() error { return fleet.ErrInvalid }

// IsPermanent reports whether err is a fault that the same revision always has.
func IsPermanent(err error) bool {
	var broken *Fault
	return errors.As(err, &broken) && !broken.Transient
}

// Refused returns err as a fleet.RefusedError of the revision if err is a
// fault. Any other error is returned unchanged.
func Refused(revision string, err error) error {
	var broken *Fault
	if !errors.As(err, &broken) {
		return err
	}
	p := fleet.Problem{Message: broken.message}
	if broken.file != "" {
		p.File = message.Printable(broken.file)
	}
	return &fleet.RefusedError{Revision: revision, Problem: p}
}

// WrongPath returns a fault for a path in the source. It has no file, because
// the paths of files are relative to the fleet repo's root.
func WrongPath(at, text string) error {
	return NewFault("", "path %s %s", message.Printable(at), text)
}
