package kustomize

import (
	"bytes"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
)

// Target is what a patch or a replacement in a kustomization selects.
type Target struct {
	File     string
	Line     int
	Field    string
	Selector types.Selector
}

// targets returns the targets of a kustomization that name a kind or an object.
func targets(k *types.Kustomization, at func(field, value string) reference) (all []Target) {
	add := func(field string, s *types.Selector) {
		if s == nil || s.Kind == "" && s.Name == "" {
			return
		}
		value := s.Name
		if value == "" {
			value = s.Kind
		}
		r := at(field, value)
		all = append(all, Target{File: r.file, Line: r.line, Field: field, Selector: *s})
	}
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) {
		add("patches", p.Target)
	}
	for _, r := range k.Replacements {
		for _, t := range r.Targets {
			add("replacements", t.Select)
		}
	}
	return all
}

// Directories returns the directories of the kustomizations that were vetted, sorted.
func (v *Vetting) Directories() []string { return slices.Sorted(maps.Keys(v.dirs)) }

// Targets returns the targets in all kustomizations that were vetted.
func (v *Vetting) Targets() (all []Target) {
	for _, dir := range v.Directories() {
		all = append(all, v.dirs[dir].targets...)
	}
	return all
}

// AnyObject reports whether an object in the files that the kustomizations name matches. The
// files are read again.
func (v *Vetting) AnyObject(matches func(kind, name string) bool) bool {
	for _, dir := range v.Directories() {
		for _, next := range v.dirs[dir].leads {
			if next.dir == "" && slices.ContainsFunc(next.files, func(file string) bool { return v.anyIn(file, matches) }) {
				return true
			}
		}
	}
	return false
}

func (v *Vetting) anyIn(file string, matches func(kind, name string) bool) bool {
	data, err := ReadFile(v.tree, file)
	if err != nil {
		return false
	}
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return false
		}
		kind, name := Child(doc.Content[0], "kind"), Child(Child(doc.Content[0], "metadata"), "name")
		if kind != nil && name != nil && matches(kind.Value, name.Value) {
			return true
		}
	}
}
