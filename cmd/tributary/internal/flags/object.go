package flags

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/fleet"
)

// Object reads an object's name: its argument KIND/NAME, and the flags that distinguish objects
// with the same one.
type Object struct {
	flags            *pflag.FlagSet
	group, namespace string
}

// Bind adds the flags to f.
func (o *Object) Bind(f *pflag.FlagSet) {
	o.flags = f
	f.StringVar(&o.group, "group", "", "API group of the object, if several groups have the kind; empty for the core group")
	f.StringVar(&o.namespace, "namespace", "", "namespace of the object, if several namespaces have the name; empty for none")
}

// Name parses KIND/NAME. A flag that is set to the empty string counts as set.
func (o *Object) Name(text string) (name fleet.ObjectName, err error) {
	kind, rest, found := strings.Cut(text, "/")
	if !found || kind == "" || rest == "" {
		return name, fmt.Errorf("%q: must be KIND/NAME, such as PlatformComponent/keda", text)
	}
	name = fleet.ObjectName{Kind: kind, Name: rest}
	if o.flags.Changed("group") {
		name.Group = &o.group
	}
	if o.flags.Changed("namespace") {
		name.Namespace = &o.namespace
	}
	return name, nil
}
