// Package exitcode chooses the exit status of a command that failed.
//
// A command that has printed everything there is to say returns ErrReported, or a
// Code for a status other than 1. A command for which 1 has another meaning than
// failure declares the status of its failures:
//
//	cmd.Annotations = exitcode.OnFailure(4)
package exitcode

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"
)

// ErrReported ends a command with status 1. Its output says why already, so the
// error itself is not printed.
var ErrReported = errors.New("reported")

// Code is an ErrReported with a status of its own.
type Code int

func (Code) Error() string { return ErrReported.Error() }

// Is reports whether target is ErrReported.
func (Code) Is(target error) bool { return target == ErrReported }

const onFailure = "exit-code-on-failure"

// OnFailure returns the annotation of a command that ends with this status when it
// fails.
func OnFailure(status int) map[string]string {
	return map[string]string{onFailure: strconv.Itoa(status)}
}

// Of returns the exit status of a command that returned err, which is not nil.
func Of(cmd *cobra.Command, err error) int {
	var code Code
	if errors.As(err, &code) {
		return int(code)
	}
	if code, err := strconv.Atoi(cmd.Annotations[onFailure]); err == nil {
		return code
	}
	return 1
}
