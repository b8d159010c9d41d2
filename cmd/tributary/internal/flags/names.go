package flags

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// Names returns the value of a flag that takes names, separated by commas or by repeating the flag.
// It rejects an empty name, so that an unset variable cannot silently turn off what the flag turns
// on.
func Names(list *[]string) pflag.Value { return names{list} }

type names struct{ list *[]string }

func (names) Type() string { return "strings" }

func (l names) String() string {
	if l.list == nil {
		return ""
	}
	return strings.Join(*l.list, ",")
}

func (l names) Set(value string) error {
	for name := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(name) == "" {
			return errors.New("is empty; name something, or leave out the flag")
		}
		*l.list = append(*l.list, name)
	}
	return nil
}
