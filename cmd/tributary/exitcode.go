package main

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"
)

// codeError ends a command with a status of its own, where all there is to say has
// been printed.
type codeError int

func (codeError) Error() string { return errTold.Error() }

// Is makes it an errTold.
func (codeError) Is(target error) bool { return target == errTold }

// failsWith is the annotation of a command that ends with another status than 1 where
// it fails, because 1 says something else.
const failsWith = "fails-with"

// exitCode is that of a command which ended with an error.
func exitCode(cmd *cobra.Command, err error) int {
	var code codeError
	if errors.As(err, &code) {
		return int(code)
	}
	if code, err := strconv.Atoi(cmd.Annotations[failsWith]); err == nil {
		return code
	}
	return 1
}
