package main

import (
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/strvals"
)

// setHelp says how --set is written.
const setHelp = `--set is written as Helm's: spec.values.replicaCount=3, several with commas between,
{a,b} for a list, null to remove a key. Whole numbers, true and false are what they
look like and all else is text: --set-string makes everything text, --set-json takes
values as JSON, fractions too. A key with dots stands in quotes,
metadata.labels."app.kubernetes.io/name"=web, or has backslashes before them. An
entry of a list is spec.args[0]=x, or null to take it out; the object is read first,
because a list is replaced whole.`

// setting is one flag of --set, --set-string or --set-json.
type setting struct {
	flag string
	text string
}

// settings are those of a command line, in its order. Each flag appends to the one
// list, so that the last word on a key is the last one said.
type settings []setting

// settingFlag is a pflag.Value.
type settingFlag struct {
	name string
	all  *settings
}

func (f settingFlag) String() string { return "" }
func (f settingFlag) Type() string   { return "key=value" }
func (f settingFlag) Set(text string) error {
	*f.all = append(*f.all, setting{f.name, text})
	return nil
}

// assignment is a part of a setting: one path, one value.
type assignment struct {
	flag  string
	path  fieldPath
	value string // as it is written
}

// assignments takes settings apart.
func (all settings) assignments() ([]assignment, error) {
	var found []assignment
	for _, s := range all {
		some, err := scanSetting(s)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", s.flag, visible(s.text), err)
		}
		found = append(found, some...)
	}
	return found, nil
}

// indexed tells whether any path goes into a list.
func indexed(all []assignment) bool {
	return slices.ContainsFunc(all, func(a assignment) bool { return len(a.path.list()) < len(a.path) })
}

// mergePatch makes a merge patch of assignments. Lists that they change an entry of
// are taken from object, and are in the patch whole.
func mergePatch(all []assignment, object map[string]any) (map[string]any, error) {
	patch := map[string]any{}
	var lists []fieldPath
	for _, a := range all {
		if list := a.path.list(); len(list) < len(a.path) {
			if err := list.seed(patch, object); err != nil {
				return nil, fmt.Errorf("--%s %s: %w", a.flag, a.path, err)
			}
			lists = append(lists, list)
		}
		if err := a.into(patch); err != nil {
			return nil, fmt.Errorf("--%s %s: %w", a.flag, a.path, err)
		}
	}
	for _, list := range lists {
		list.compact(patch)
	}
	return patch, nil
}

// into makes the assignment in a value, as Helm would.
func (a assignment) into(patch map[string]any) error {
	if err := a.path.fits(patch); err != nil {
		return err
	}
	// With the comma, because Helm loses an empty value in a list at the end of a text.
	text := a.path.helm() + "=" + a.value + ","
	switch a.flag {
	case "set-json":
		return strvals.ParseJSON(text, patch)
	case "set-string":
		return strvals.ParseIntoString(text, patch)
	}
	return strvals.ParseInto(text, patch)
}

// helmKey writes a key so that Helm reads it as one.
var helmKey = strings.NewReplacer(`\`, `\\`, `=`, `\=`, `[`, `\[`, `,`, `\,`, `.`, `\.`)
