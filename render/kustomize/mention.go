package kustomize

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// Mention returns the file and line of the last patch or replacement of a placement that may
// select an object and that mentions a field; "" for none. It reads the patches once more, so
// it is for messages.
func (v *Vetting) Mention(p fleet.Placement, id resid.ResId, field string) (file string, line int) {
	if field == "" {
		return "", 0
	}
	for _, dir := range slices.Concat(reversed(p.Components), []string{p.Overlay}) {
		for _, d := range v.below(fleet.Placement{Overlay: dir}) {
			k := v.reread(d)
			if d.dir == "" || k == nil {
				continue
			}
			if file, line = k.mention(id, field); file != "" {
				return file, line
			}
		}
	}
	return "", 0
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

func (k *rereadKustomization) mention(id resid.ResId, field string) (file string, line int) {
	for _, n := range k.entries("replacements") {
		if targets := yamltext.Child(n, "targets"); targets != nil {
			for _, t := range targets.Content {
				if paths := yamltext.Child(t, "fieldPaths"); paths != nil && selects(yamltext.Child(t, "select"), id) {
					for _, at := range paths.Content {
						if parts := strings.Split(at.Value, "."); parts[len(parts)-1] == field {
							file, line = k.file, at.Line
						}
					}
				}
			}
		}
	}
	for _, p := range k.patches() {
		if p.target != nil && !selects(p.target, id) {
			continue
		}
		for _, doc := range documentsIn([]byte(p.text)) {
			other := valueOf(doc, "kind") != id.Kind || !strings.Contains(id.Name, valueOf(yamltext.Child(doc, "metadata"), "name"))
			if doc.Kind == yaml.MappingNode && p.target == nil && other {
				continue
			}
			if at := mentionedIn(doc, field); at != nil {
				file, line, _ = p.at(at.Line, 0)
			}
		}
	}
	return file, line
}

// selects reports whether the target of a patch may select an object.
func selects(target *yaml.Node, id resid.ResId) bool {
	for field, text := range map[string]string{"kind": id.Kind, "name": id.Name} {
		pattern := valueOf(target, field)
		// The name of an object may have got a prefix and a suffix.
		if matched, err := regexp.MatchString(pattern, text); pattern != "" && err == nil && !matched {
			return false
		}
	}
	return true
}

// mentionedIn returns the value of the last key of that name in a patch, or of the last
// operation whose path has it; nil for none.
func mentionedIn(n *yaml.Node, field string) (found *yaml.Node) {
	if at := valueOf(n, "path"); valueOf(n, "op") != "" && slices.Contains(strings.Split(at, "/"), field) {
		found = cmpNode(yamltext.Child(n, "value"), yamltext.Child(n, "path"))
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == field {
			found = n.Content[i-1]
		}
		if inner := mentionedIn(child, field); inner != nil {
			found = inner
		}
	}
	return found
}

// LineThatMentions returns the last line of a patch that sets or removes a field; 0 for none.
func LineThatMentions(text, field string) (line int) {
	for _, doc := range documentsIn([]byte(text)) {
		if at := mentionedIn(doc, field); at != nil {
			line = at.Line
		}
	}
	return line
}

// LineWithin returns the line in the file of a line in a text that is a value of it.
func LineWithin(text *yaml.Node, line int) int {
	if text.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return text.Line + line
	}
	return text.Line
}
