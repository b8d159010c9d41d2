package kustomize

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

var (
	// The directories that kustomize went through, the innermost last.
	recursed = regexp.MustCompile(`(?:recursed (?:accumulation|merging) (?:of|from)|couldn't make target for) path '([^']*)'`)
	fromFile = regexp.MustCompile(`(?:accumulating|merging) resources from '([^']*)': `)
	// What comes first of an error that kustomize wraps once more.
	wrapped = regexp.MustCompile(`^.*(?:accumulat(?:ion|ing)[^:]*|recursed [^:]*|merging resources[^:]*|couldn't make target[^:]*|loader\.New[^:]*): `)
	quoted  = regexp.MustCompile("[\"'`]([^\"'`]+)[\"'`]")
)

// explain takes an error of kustomize apart into the file, the field and the reason.
func (v *Vetting) explain(p fleet.Placement, err error) fleet.Problem {
	text := Message(err)
	e := explanation{v: v, dirs: []string{p.Overlay}}
	for _, m := range recursed.FindAllStringSubmatch(text, -1) {
		e.dirs = append(e.dirs, strings.TrimPrefix(m[1], repoRoot+"/"))
	}
	dir := e.dirs[len(e.dirs)-1]
	text = wrapped.ReplaceAllStringFunc(text, func(chain string) string {
		all := fromFile.FindAllStringSubmatch(chain, -1)
		if len(all) == 0 {
			return ""
		}
		if file, inside := InTree(dir, all[len(all)-1][1]); inside {
			if info, err := fs.Stat(v.tree, file); err == nil && !info.IsDir() {
				e.file = file
			}
		}
		return ""
	})
	text, _, _ = strings.Cut(text, "': must build at directory")
	e.k = v.reread(v.dirs[dir])
	if e.k == nil {
		return fleet.Problem{File: dir, Message: "kustomize: " + strings.Trim(text, "'\" ")}
	}
	for _, r := range reasons {
		if m := r.pattern.FindStringSubmatch(text); m != nil {
			return r.explain(&e, m)
		}
	}
	return e.unknown(text)
}

// explanation is what is known of an error of kustomize.
type explanation struct {
	v    *Vetting
	dirs []string // from the overlay to where kustomize stopped
	file string   // that it was reading; "" for none
	k    *rereadKustomization
}

// reason is an error of kustomize, and what it means.
type reason struct {
	pattern *regexp.Regexp
	explain func(e *explanation, m []string) fleet.Problem
}

// An object as kustomize's errors write it, such as App.v1.example.com/web.[noNs].
const writtenID = `(\w+)\.(\[?[^.\s/]+\]?)\.(\S*?)/([^\s/]+)\.([^.\s"/]+)`

var reasons = []reason{
	{regexp.MustCompile(`kustomization.yaml is empty`), func(e *explanation, _ []string) fleet.Problem {
		return e.k.problem(1, "", "makes nothing, and kustomize refuses it as empty; add resources, or remove what leads here")
	}},
	{regexp.MustCompile(`may not add resource with an already registered id: ` + writtenID), (*explanation).alreadyThere},
	{regexp.MustCompile(`(?:no matches for Id|no resource matches strategic merge patch) "?` + writtenID), (*explanation).patchesNothing},
	{regexp.MustCompile("fieldPath `([^`]*)` is missing for replacement source (\\w+)\\S*/([^\\s/]+)\\.\\S+"), func(e *explanation, m []string) fleet.Problem {
		return e.atValue("replacements", m[1], "there is no field %s in %s/%s", m[1], m[2], m[3])
	}},
	{regexp.MustCompile(`unable to find field "([^"]*)" in replacement target`), func(e *explanation, m []string) fleet.Problem {
		return e.atValue("replacements", m[1], "there is no field %s in the target; correct it, or add options: {create: true}", m[1])
	}},
	{regexp.MustCompile(`(?:nothing selected by|multiple matches for selector) (\w+)\S*?/([^\s/:]+)\.\S+`), func(e *explanation, m []string) fleet.Problem {
		return e.atValue("replacements", m[2], "the source must be one object, and %s/%s selects none or several%s", m[1], m[2], e.hint(m[1], m[2]))
	}},
	{regexp.MustCompile(`Kind:"(ConfigMap|Secret)".*Name:"([^"]*)".* does not exist; cannot merge or replace`), func(e *explanation, m []string) fleet.Problem {
		return e.atGenerator(m[1], m[2], "there is no %s %s to merge with or to replace%s; remove behavior to make a new one", m[1], m[2], e.hint(m[1], m[2]))
	}},
	{regexp.MustCompile(`Kind:"(ConfigMap|Secret)".*Name:"([^"]*)".* exists; can not use behavior`), func(e *explanation, m []string) fleet.Problem {
		return e.atGenerator(m[1], m[2], "there is a %s %s already; set behavior to merge or replace, or give this one another name", m[1], m[2])
	}},
	{regexp.MustCompile("(configmap|secret) (\\S+) illegally repeats the key `([^`]*)`"), func(e *explanation, m []string) fleet.Problem {
		kind := map[string]string{"configmap": "ConfigMap", "secret": "Secret"}[m[1]]
		return e.atGenerator(kind, m[2], "has the key %s twice; remove one", m[3])
	}},
	{regexp.MustCompile(`namespace transformation produces ID conflict:.*?"kind":"(\w+)".*?"name":"([^"]+)"`), func(e *explanation, m []string) fleet.Problem {
		return e.atValue("namespace", "", "there are two objects %s/%s, of different namespaces, and this makes one of them; rename one", m[1], m[2])
	}},
	{regexp.MustCompile(`var '\{(\S+) (\w+)\S* .*cannot be mapped`), func(e *explanation, m []string) fleet.Problem {
		for _, d := range e.v.below(fleet.Placement{Overlay: e.dirs[0], Components: e.dirs[1:]}) {
			if k := e.v.reread(d); d.dir != "" && k != nil && slices.ContainsFunc(k.Vars, func(v types.Var) bool { return v.Name == m[1] }) { //nolint:staticcheck // kustomize still reads vars
				e.k = k
			}
		}
		return e.atValue("vars", m[1], "the object of %s, a %s, is not there", m[1], m[2])
	}},
}

// unknown reports an error that has no explanation at the first value of the kustomization
// that it quotes.
func (e *explanation) unknown(text string) fleet.Problem {
	text = strings.Trim(text, "'\" ")
	if e.file != "" {
		return fleet.Problem{File: e.file, Message: "kustomize: " + text}
	}
	out := e.k.problem(0, "", "kustomize: %s", text)
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		for _, p := range e.k.patches() {
			if i := strings.Index(p.text, m[1]); i >= 0 {
				out.File, out.Line, _ = p.at(1+strings.Count(p.text[:i], "\n"), 0)
				out.Field = p.fieldIn(out.File, e.k)
				return out
			}
		}
		for i := 0; i+1 < len(e.k.root.Content); i += 2 {
			if line := lineWithin(e.k.root.Content[i+1], m[1]); line > 0 {
				out.Line, out.Field = line, e.k.root.Content[i].Value
				return out
			}
		}
	}
	return out
}

// atValue is a problem of a value under a field of the kustomization.
func (e *explanation) atValue(field, value, format string, args ...any) fleet.Problem {
	doc := &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{e.k.root}}
	return e.k.problem(lineOf(doc, field, value), field, format, args...)
}

// atGenerator is a problem of the generator of an object.
func (e *explanation) atGenerator(kind, name, format string, args ...any) fleet.Problem {
	field := map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"}[kind]
	for i, n := range e.k.entries(field) {
		if valueOf(n, "name") == name {
			return e.k.problem(n.Line, fmt.Sprintf("%s[%d]", field, i), format, args...)
		}
	}
	return e.atValue(field, name, format, args...)
}

// patchesNothing explains a strategic merge patch without its object.
func (e *explanation) patchesNothing(m []string) fleet.Problem {
	kind, version, group, name, namespace := m[1], m[2], m[3], m[4], m[5]
	if namespace == "[noNs]" {
		namespace = ""
	}
	message := fmt.Sprintf("there is no %s/%s to patch", kind, name)
	var others []string
	e.eachObject(func(n *yaml.Node) {
		if valueOf(n, "kind") != kind {
			return
		}
		meta := yamltext.Child(n, "metadata")
		others = append(others, valueOf(meta, "name"))
		if valueOf(meta, "name") != name {
			return
		}
		switch is := valueOf(meta, "namespace"); {
		case is != namespace && is == "":
			message = fmt.Sprintf("there is no %s/%s in namespace %s to patch, but there is one without a namespace; remove it here", kind, name, namespace)
		case is != namespace:
			message = fmt.Sprintf("there is no %s/%s to patch, but there is one in namespace %s; write that here", kind, name, is)
		default:
			want := strings.TrimPrefix(strings.Trim(group, "[]")+"/"+version, "noGrp/")
			message = fmt.Sprintf("there is no %s/%s of apiVersion %s to patch, but there is one of %s", kind, name, want, valueOf(n, "apiVersion"))
		}
	})
	if !slices.Contains(others, name) {
		message += nearest.Hint(name, others)
	}
	for _, p := range e.k.patches() {
		for _, doc := range documentsIn([]byte(p.text)) {
			if valueOf(doc, "kind") == kind && valueOf(yamltext.Child(doc, "metadata"), "name") == name {
				file, line, _ := p.at(yamltext.Child(yamltext.Child(doc, "metadata"), "name").Line, 0)
				return fleet.Problem{File: file, Line: line, Field: p.fieldIn(file, e.k), Message: message}
			}
		}
	}
	return e.atValue("patches", name, "%s", message)
}

// alreadyThere explains an object that two entries lead to.
func (e *explanation) alreadyThere(m []string) fleet.Problem {
	kind, name := m[1], m[4]
	message := fmt.Sprintf("%s/%s is there already; remove one of the two, or give it another name", kind, name)
	if e.file != "" {
		return fleet.Problem{File: e.file, Line: e.v.lastLineOf(e.file, kind, name), Message: message}
	}
	dir := e.dirs[len(e.dirs)-1]
	if len(e.dirs) < 2 {
		return e.k.problem(0, "", "%s", message)
	}
	above := e.v.reread(e.v.dirs[e.dirs[len(e.dirs)-2]])
	if above == nil {
		return e.k.problem(0, "", "%s", message)
	}
	out := e.k.problem(0, "", "%s", message)
	for _, field := range []string{"resources", "components"} {
		for i, n := range above.entries(field) {
			if clean, _ := InTree(above.dir, n.Value); clean == dir { // the last is one too many
				out = above.problem(n.Line, fmt.Sprintf("%s[%d]", field, i), "%s leads to %s/%s, which is there already; remove what leads there twice", n.Value, kind, name)
			}
		}
	}
	return out
}

// hint names the object that is probably meant.
func (e *explanation) hint(kind, name string) string {
	var names []string
	e.eachObject(func(n *yaml.Node) {
		if valueOf(n, "kind") == kind {
			names = append(names, valueOf(yamltext.Child(n, "metadata"), "name"))
		}
	})
	if slices.Contains(names, name) {
		return ""
	}
	return nearest.Hint(name, names)
}

// eachObject calls f with each object in the files that the placement leads to.
func (e *explanation) eachObject(f func(*yaml.Node)) {
	for _, d := range e.v.below(fleet.Placement{Overlay: e.dirs[0], Components: e.dirs[1:]}) {
		if d.dir != "" {
			continue
		}
		for _, file := range d.files {
			if data, err := ReadFile(e.v.tree, file); err == nil {
				for _, n := range documentsIn(data) {
					f(n)
				}
			}
		}
	}
}

// documentsIn returns the documents of a text up to the first that is not YAML.
func documentsIn(data []byte) (all []*yaml.Node) {
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return all
		}
		all = append(all, doc.Content[0])
	}
}

// lastLineOf returns the line of the last object of a kind and name in a file; 0 if there is
// none.
func (v *Vetting) lastLineOf(file, kind, name string) (line int) {
	data, err := ReadFile(v.tree, file)
	if err != nil {
		return 0
	}
	for _, n := range documentsIn(data) {
		if valueOf(n, "kind") == kind && valueOf(yamltext.Child(n, "metadata"), "name") == name {
			line = n.Line
		}
	}
	return line
}
