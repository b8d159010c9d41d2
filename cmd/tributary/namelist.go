package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// nameList is a flag that takes names, separated by commas or by repeating the flag. It
// rejects an empty name, so that an unset variable cannot silently turn off what the
// flag turns on.
type nameList struct{ names *[]string }

var _ pflag.Value = nameList{}

func (nameList) Type() string { return "strings" }

func (l nameList) String() string {
	if l.names == nil {
		return ""
	}
	return strings.Join(*l.names, ",")
}

func (l nameList) Set(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(name) == "" {
			return errors.New("is empty; name something, or leave out the flag")
		}
		*l.names = append(*l.names, name)
	}
	return nil
}
