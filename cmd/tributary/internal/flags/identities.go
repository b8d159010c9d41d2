package flags

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/sources"
)

// Identities returns the value of a flag that takes the identity of a signer and can be repeated.
func Identities(list *[]sources.Identity) pflag.Value { return identities{list} }

type identities struct{ list *[]sources.Identity }

func (identities) Type() string { return "identity" }

func (i identities) String() string {
	if i.list == nil {
		return ""
	}
	var names []string
	for _, identity := range *i.list {
		names = append(names, identity.String())
	}
	return strings.Join(names, ", ")
}

func (i identities) Set(value string) error {
	identity, err := sources.ParseIdentity(value)
	if err == nil {
		*i.list = append(*i.list, identity)
	}
	return err
}
