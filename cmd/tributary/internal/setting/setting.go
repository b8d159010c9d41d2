// Package setting reads --set flags and makes merge patches of them.
//
// Values mean what they mean to Helm. Keys are stricter: what Helm would drop or
// guess at is an error. Keys may also stand in quotes.
//
//	var settings setting.List
//	flags.Var(settings.Flag("set"), "set", "a change such as spec.values.operator.replicaCount=5")
//	...
//	assignments, err := settings.Assignments()
//	patch, err := assignments.MergePatch(nil)
package setting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"helm.sh/helm/v4/pkg/strvals"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
)

// Help explains the flags in the help text of a command.
const Help = `--set takes what Helm's --set takes: spec.values.operator.replicaCount=5, several changes
separated by commas, {a,b} for a list, null to remove a key. Whole numbers, true and
false keep their type, and everything else is a string. --set-string makes every value
a string, and --set-json reads values as JSON, which allows fractions. Quote a key that
has dots in it, metadata.labels."app.kubernetes.io/name"=web, or put a backslash before
each dot. spec.args[0]=x sets an entry of a list, and null removes it. The command then
reads the object first, because a merge patch replaces a list as a whole.`

// List holds the settings of a command line in their order. The flags append to one
// List, so that the last setting of a key wins whichever flag it comes from.
type List []setting

// setting is the value of one flag.
type setting struct {
	flag string // set, set-string or set-json
	text string
}

// Flag returns the flag of this name: set, set-string or set-json.
func (l *List) Flag(name string) pflag.Value { return flag{name, l} }

type flag struct {
	name string
	list *List
}

func (f flag) String() string { return "" }
func (f flag) Type() string   { return "key=value" }
func (f flag) Set(text string) error {
	*f.list = append(*f.list, setting{f.name, text})
	return nil
}

// Assignments parses the settings.
func (l List) Assignments() (Assignments, error) {
	var all Assignments
	for _, s := range l {
		some, err := scan(s)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", s.flag, textfmt.Visible(s.text), err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// Assignments are parsed settings, in order.
type Assignments []assignment

// assignment is one path with its value.
type assignment struct {
	flag  string
	path  path
	value string // as written
}

// Indexed reports whether an assignment changes an entry of a list, so that MergePatch
// needs the object.
func (all Assignments) Indexed() bool {
	return slices.ContainsFunc(all, func(a assignment) bool { return len(a.path.list()) < len(a.path) })
}

// MergePatch returns a JSON merge patch. A list of which an entry changes is copied
// from the object, in JSON, and is in the patch as a whole. The object may be nil
// unless the assignments are Indexed.
func (all Assignments) MergePatch(object json.RawMessage) (json.RawMessage, error) {
	var current map[string]any
	if object != nil {
		d := json.NewDecoder(bytes.NewReader(object))
		d.UseNumber() // numbers that do not change keep their digits
		if err := d.Decode(&current); err != nil {
			return nil, err
		}
	}
	patch, err := all.mergePatch(current)
	if err != nil {
		return nil, err
	}
	return json.Marshal(patch)
}

func (all Assignments) mergePatch(object map[string]any) (map[string]any, error) {
	patch := map[string]any{}
	var lists []path
	for _, a := range all {
		if list := a.path.list(); len(list) < len(a.path) {
			if err := list.seed(patch, object); err != nil {
				return nil, fmt.Errorf("--%s %s: %w", a.flag, a.path, err)
			}
			lists = append(lists, list)
		}
		if err := a.apply(patch); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", a.flag, a.path, err)
		}
	}
	for _, list := range lists {
		list.compact(patch)
	}
	return patch, nil
}

// apply sets the value in a patch as Helm does.
func (a assignment) apply(patch map[string]any) error {
	if err := a.path.check(patch); err != nil {
		return err
	}
	// The comma is there because Helm drops an empty list value at the end of a text.
	text := a.path.helm() + "=" + a.value + ","
	switch a.flag {
	case "set-json":
		return strvals.ParseJSON(text, patch)
	case "set-string":
		return strvals.ParseIntoString(text, patch)
	}
	return strvals.ParseInto(text, patch)
}

// helmKey escapes a key for Helm.
var helmKey = strings.NewReplacer(`\`, `\\`, `=`, `\=`, `[`, `\[`, `,`, `\,`, `.`, `\.`)
