package kustomize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// Diagnose says why the build of a placement that passed the vetting failed. It reads every
// object file that the placement leads to and reports, with file and line, what kustomize
// refuses in it. Where it finds nothing, it reports kustomize's own reason, for the file that
// kustomize was reading.
//
// kustomize stops at the first file and buries the reason in the list of directories that
// led there. Files are read here after a failure only, because reading all of them at each
// commit would take as long as building.
func (v *Vetting) Diagnose(p fleet.Placement, err error) fleet.Problems {
	var problems fleet.Problems
	seen := map[*vettedDir]bool{}
	for _, dir := range append([]string{p.Overlay}, p.Components...) {
		if resolved, err := followLinks(v.tree, dir); err == nil {
			problems = append(problems, v.diagnose(v.dirs[resolved], seen)...)
		}
	}
	if len(problems) > 0 {
		return problems.Sort()
	}
	return fleet.Problems{v.explain(p, err)}
}

func (v *Vetting) diagnose(d *vettedDir, seen map[*vettedDir]bool) (problems fleet.Problems) {
	if d == nil || seen[d] || len(seen) > maxSteps {
		return nil
	}
	seen[d] = true
	for _, p := range d.patches {
		if err := CheckPatchText(p.value); err != nil {
			problems = append(problems, fleet.Problem{File: p.file, Line: p.line, Field: p.field, Message: err.Error()})
		}
	}
	for _, next := range d.leads {
		if next.dir != "" {
			problems = append(problems, v.diagnose(next, seen)...)
			continue
		}
		for _, file := range next.files {
			data, err := ReadFile(v.tree, file)
			if err == nil {
				problems = append(problems, checkObjects(file, data)...)
			}
		}
	}
	return problems
}

// CheckPatchText says why a text can be neither a strategic merge patch nor a list of
// operations; nil if that is not in its syntax. kustomize's own error repeats the text and
// says nothing else.
func CheckPatchText(text string) error {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") { // kustomize reads such text as JSON
		var any any
		if err := json.Unmarshal([]byte(text), &any); err != nil {
			return fmt.Errorf("begins with [, so it must be JSON: %w; write one operation a line, each after a dash, for YAML", err)
		}
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		p := SyntaxProblem("", []byte(text), err)
		return fmt.Errorf("line %d of the patch: %s", p.Line, p.Message)
	}
	if len(node.Content) == 0 || node.Content[0].Kind != yaml.SequenceNode {
		return nil
	}
	for i, op := range node.Content[0].Content {
		for _, field := range []string{"op", "path"} {
			if Child(op, field) == nil {
				return fmt.Errorf("operation %d: %s: must be set (RFC 6902)", i, field)
			}
		}
	}
	return nil
}

// checkObjects says what kustomize refuses in a file of objects.
func checkObjects(file string, data []byte) (problems fleet.Problems) {
	c := objectCheck{file: file}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return c.problems
		}
		if err != nil {
			return append(c.problems, SyntaxProblem(file, data, err))
		}
		c.document(doc.Content[0])
	}
}

type objectCheck struct {
	file     string
	start    int // the first line of the document
	problems fleet.Problems
}

func (c *objectCheck) problem(n *yaml.Node, field, format string, args ...any) {
	if len(c.problems) < MaxProblems {
		c.problems = append(c.problems, fleet.Problem{File: c.file, Line: n.Line, Column: n.Column, Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

func (c *objectCheck) document(n *yaml.Node) {
	switch {
	case n.ShortTag() == "!!null":
		return
	case n.Kind == yaml.SequenceNode:
		c.problem(n, "", "is a list; write each object as a document of its own, after ---")
		return
	case n.Kind != yaml.MappingNode:
		c.problem(n, "", "must be an object, with apiVersion, kind and metadata.name")
		return
	}
	before := len(c.problems)
	c.start = n.Line
	c.values("", n)
	if len(c.problems) > before {
		return // what is missing may follow from that
	}
	kind, metadata := Child(n, "kind"), Child(n, "metadata")
	isList := kind != nil && strings.HasSuffix(kind.Value, "List") && Child(n, "items") != nil
	for _, field := range []string{"apiVersion", "kind"} {
		if value := Child(n, field); value == nil || value.Value == "" {
			c.problem(n, field, "must be set")
		}
	}
	name := Child(metadata, "name")
	switch {
	case isList || name != nil && name.Value != "":
	case Child(metadata, "generateName") != nil:
		c.problem(metadata, "metadata.generateName", "is not supported by kustomize; give the object a metadata.name")
	case name == nil && Child(n, "name") != nil:
		c.problem(Child(n, "name"), "metadata.name", "must be set; indent name, so that it is in metadata")
	default:
		c.problem(n, "metadata.name", "must be set")
	}
}

// values checks what is in an object: keys that are no strings or are repeated, and numbers
// that JSON does not have.
func (c *objectCheck) values(path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, at := n.Content[i], strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			first, again := seen[key.Value]
			seen[key.Value] = key.Line
			switch {
			case key.Kind == yaml.MappingNode:
				c.problem(key, path, "has a mapping as a key; is this a template, such as {{ .Values.name }}? Templates are not rendered: write the value")
			case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" && key.ShortTag() != "!!merge":
				c.problem(key, at, "is a key that is not a string; put it in quotes")
			case again && key.ShortTag() != "!!merge":
				c.problem(key, at, "repeats the key of line %d; remove one", first)
			}
			c.values(at, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			c.values(fmt.Sprintf("%s[%d]", path, i), child)
		}
	case yaml.AliasNode:
		if n.Alias.Line < c.start {
			c.problem(n, path, "*%s refers to another document; each document needs its own anchors", n.Value)
		}
	case yaml.ScalarNode:
		var f float64
		if n.ShortTag() == "!!float" && (n.Decode(&f) != nil || math.IsInf(f, 0) || math.IsNaN(f)) {
			c.problem(n, path, "%s is a number that JSON does not have; write it as a string", n.Value)
		}
	}
}

var (
	// The directories that kustomize went through, the innermost last.
	recursed = regexp.MustCompile(`(?:recursed (?:accumulation|merging) (?:of|from)|couldn't make target for) path '([^']*)'`)
	fromFile = regexp.MustCompile(`(?:accumulating|merging) resources from '([^']*)': `)
	// What comes first of an error that kustomize wraps once more.
	wrapped = regexp.MustCompile(`^.*(?:accumulat(?:ion|ing)[^:]*|recursed [^:]*|merging resources[^:]*|couldn't make target[^:]*|loader\.New[^:]*): `)
	already = regexp.MustCompile(`may not add resource with an already registered id: ([^.]+)\S*/(\S+)\.[^.]+`)
)

// explain takes an error of kustomize apart into the file and the reason.
func (v *Vetting) explain(p fleet.Placement, err error) fleet.Problem {
	text := Message(err)
	out := fleet.Problem{File: p.Overlay}
	if all := recursed.FindAllStringSubmatch(text, -1); len(all) > 0 {
		out.File = strings.TrimPrefix(all[len(all)-1][1], repoRoot+"/")
	}
	text = wrapped.ReplaceAllStringFunc(text, func(chain string) string {
		all := fromFile.FindAllStringSubmatch(chain, -1)
		if len(all) == 0 {
			return ""
		}
		if file, inside := InTree(out.File, all[len(all)-1][1]); inside {
			if info, err := fs.Stat(v.tree, file); err == nil && !info.IsDir() {
				out.File = file
			}
		}
		return ""
	})
	text, _, _ = strings.Cut(text, "': must build at directory")
	if m := already.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("%s/%s is there already; remove one of the two, or give it another name", m[1], m[2])
		out.Line = v.lastLineOf(out.File, m[1], m[2])
	}
	out.Message = "kustomize: " + strings.Trim(text, "'\" ")
	if len(p.Components) > 0 && !strings.Contains(err.Error(), "recursed") {
		out.Message += " (with " + strings.Join(p.Components, ", ") + ")"
	}
	return out
}

// lastLineOf returns the line of the last object of a kind and name in a file; 0 if there is
// none.
func (v *Vetting) lastLineOf(file, kind, name string) (line int) {
	data, err := ReadFile(v.tree, file)
	if err != nil {
		return 0
	}
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return line
		}
		k, n := Child(doc.Content[0], "kind"), Child(Child(doc.Content[0], "metadata"), "name")
		if k != nil && n != nil && k.Value == kind && n.Value == name {
			line = doc.Content[0].Line
		}
	}
}
