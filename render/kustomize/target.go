package kustomize

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/yamltext"
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
		kind, name := yamltext.Child(doc.Content[0], "kind"), yamltext.Child(yamltext.Child(doc.Content[0], "metadata"), "name")
		if kind != nil && name != nil && matches(kind.Value, name.Value) {
			return true
		}
	}
}

// Ignored returns warnings about what kustomize ignores without a word in the kustomizations
// that were vetted: parts of JSON pointers, values that are missing, words that it does not
// know. It reads the kustomizations once more.
func (v *Vetting) Ignored() (problems fleet.Problems) {
	for _, dir := range v.Directories() {
		k := v.reread(v.dirs[dir])
		if k == nil {
			continue
		}
		for _, p := range k.patches() {
			for _, doc := range documentsIn([]byte(p.text)) {
				if doc.Kind == yaml.SequenceNode {
					problems = append(problems, p.ignored(k, doc)...)
				}
			}
		}
		for _, field := range []string{"configMapGenerator", "secretGenerator"} {
			for i, n := range k.entries(field) {
				known := []string{"create", "replace", "merge"}
				if b := yamltext.Child(n, "behavior"); b != nil && b.Value != "" && !slices.Contains(known, b.Value) {
					problems = append(problems, k.problem(b.Line, fmt.Sprintf("%s[%d].behavior", field, i),
						"%q is ignored; it must be create, replace or merge%s", b.Value, nearest.Hint(b.Value, known)))
				}
			}
		}
	}
	for i := range problems {
		problems[i].Warning = true
	}
	return problems
}

// ignored returns what is ignored in a list of operations.
func (p *patchEntry) ignored(k *rereadKustomization, list *yaml.Node) (problems fleet.Problems) {
	add := func(at *yaml.Node, format string, args ...any) {
		file, line, _ := p.at(at.Line, 0)
		problems = append(problems, fleet.Problem{File: file, Line: line, Field: p.fieldIn(file, k), Message: fmt.Sprintf(format, args...)})
	}
	for _, n := range list.Content {
		if at := yamltext.Child(n, "path"); at != nil && at.Value != "" && !strings.HasPrefix(at.Value, "/") {
			add(at, "path %s does not begin with /, so that its first part is ignored; write /%[1]s", at.Value)
		}
		op := valueOf(n, "op")
		if (op == "add" || op == "replace") && yamltext.Child(n, "value") == nil {
			add(n, "the operation %s has no value, so that null is written; add value", op)
		}
	}
	return problems
}
