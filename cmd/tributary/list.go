package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// nameList is a flag that names things, parted by commas or by being repeated. It
// takes no empty name: a variable that is not set must not turn off, without a
// word, what the flag is there to turn on.
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
			return errors.New("names nothing; name something, or leave the flag out")
		}
		*l.names = append(*l.names, name)
	}
	return nil
}
