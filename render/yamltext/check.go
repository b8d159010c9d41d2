// Package yamltext reads the text of YAML files strictly: it refuses what would be slow to read or does not mean
// what it seems to, and says where a text is not YAML, in words for those who wrote it.
//
//	if p := yamltext.Check("base/app.yaml", data); p != nil { … }     // file, line, column, message
//	if err := yaml.Unmarshal(data, &doc); err != nil {
//		return yamltext.SyntaxProblem("base/app.yaml", data, err)
//	}
//	value, err := yamltext.ValueOf(doc.Content[0])                     // as kustomize reads it
//
// It knows YAML and Kubernetes objects, and nothing of kustomizations.
package yamltext

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// Limits on the shape of YAML. Code that reads it later needs time by the square of some
// sizes: the keys of a mapping are compared with each other to find duplicates, a list
// whose entries merge by name is searched for each entry, and each level of nesting is
// copied. At these limits the worst file takes seconds. Honest files stay far below.
const (
	maxKeys    = 10_000
	maxEntries = 2_000 // of a list of mappings, except the items of a List
	maxDepth   = 200
	maxWork    = 4 * maxKeys * maxKeys // sum of the squares in one build
	maxNodes   = 1_000_000             // values in one build
	// smallFile is the size below which a file cannot pass a limit.
	smallFile = 4 << 10
	// maxExpansion limits the nodes that aliases add to a file. Honest files repeat a few
	// dozen; nine short lines can stand for billions.
	maxExpansion = 100_000
	// MaxProblems limits the problems that are reported for one file.
	MaxProblems = 1_000
)

// Check refuses a file in another encoding than UTF-8, one whose aliases expand too far or
// into themselves, one whose shape would make reading it slow, and one with a number that no
// float64 holds or a key that begins with an invisible character. It accepts text that is not
// YAML, because the parser reports that better.
func Check(file string, data []byte) *fleet.Problem {
	_, p := ReadShape(file, data)
	return p
}

// CheckShape says what is wrong with the shape or a number of YAML text of any size; "" for
// nothing, and for text that is not YAML.
func CheckShape(text string) string {
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			return ""
		}
		if _, wrong := CheckNode(&doc); wrong != "" {
			return wrong
		}
	}
}

// CheckNode says what is wrong with the shape or a number of a node, and where; nil for
// nothing.
func CheckNode(n *yaml.Node) (at *yaml.Node, wrong string) {
	var s Shape
	if at, wrong = s.measure(n, 0); at != nil {
		return at, wrong
	}
	return checkNumbers(n)
}

var (
	// mayOverflow matches text that may have a number that no float64 holds.
	mayOverflow = regexp.MustCompile(`[0-9.][eE]\+?[0-9]{3}|[0-9]{308}`)
	decimal     = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// checkNumbers finds a number that no float64 holds. Readers of YAML take it for text.
func checkNumbers(n *yaml.Node) (at *yaml.Node, wrong string) {
	if n.Kind == yaml.ScalarNode && n.Style == 0 && n.Tag == "!!str" && mayOverflow.MatchString(n.Value) && decimal.MatchString(n.Value) {
		if _, err := strconv.ParseFloat(n.Value, 64); errors.Is(err, strconv.ErrRange) {
			return n, fmt.Sprintf("%.20s is a number that is too large; write it as a string, in quotes", n.Value)
		}
	}
	for _, child := range n.Content {
		if at, wrong = checkNumbers(child); at != nil {
			return at, wrong
		}
	}
	return nil, ""
}

// invisible matches characters that nobody sees, and that are no indentation: a no-break space,
// a zero-width space, a byte order mark.
var invisible = regexp.MustCompile(`[\x{a0}\x{200b}\x{feff}]`)

// checkKeys finds a key that begins with an invisible character. YAML takes it for a part of
// the key, so the key is another one than it seems to be.
func checkKeys(n *yaml.Node) (at *yaml.Node, wrong string) {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c, _ := utf8.DecodeRuneInString(child.Value); invisible.MatchString(string(c)) {
				return child, fmt.Sprintf("the key %q begins with the invisible character U+%04X, which is no indentation; replace it by spaces", strings.TrimLeft(child.Value, string(c)), c)
			}
		}
		if at, wrong = checkKeys(child); at != nil {
			return at, wrong
		}
	}
	return nil, ""
}

func problemAt(file string, at *yaml.Node, wrong string) *fleet.Problem {
	return &fleet.Problem{File: file, Line: at.Line, Column: at.Column, Message: wrong}
}

// Shape is what makes YAML slow to read. The zero value is that of nothing.
type Shape struct{ nodes, work int }

// Add adds the shape of another text.
func (s *Shape) Add(other Shape) {
	s.nodes += other.nodes
	s.work += other.work
}

// ReadShape returns the shape of all documents of a file together.
func ReadShape(file string, data []byte) (Shape, *fleet.Problem) {
	var s Shape
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return s, &fleet.Problem{File: file, Line: 1, Column: 1, Message: "is in UTF-16; save the file as UTF-8"}
	}
	aliases := bytes.ContainsRune(data, '*') && bytes.ContainsRune(data, '&')
	numbers := mayOverflow.Match(data)
	unseen := invisible.Match(data)
	if len(data) < smallFile && !aliases && !numbers && !unseen {
		return Shape{nodes: len(data) / 4}, nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return s, nil
		}
		if at, wrong := s.measure(&doc, 0); at != nil {
			return s, problemAt(file, at, wrong)
		}
		if numbers {
			if at, wrong := checkNumbers(&doc); at != nil {
				return s, problemAt(file, at, wrong)
			}
		}
		if unseen {
			if at, wrong := checkKeys(&doc); at != nil {
				return s, problemAt(file, at, wrong)
			}
		}
		if aliases {
			if p := checkAliases(file, &doc); p != nil {
				return s, p
			}
		}
	}
}

// measure adds the shape of a node and of all nodes below it. It returns what is wrong,
// and at which node; nil for nothing.
func (s *Shape) measure(n *yaml.Node, depth int) (*yaml.Node, string) {
	if depth > maxDepth {
		return n, fmt.Sprintf("is nested more than %d levels deep; flatten it", maxDepth)
	}
	s.nodes++
	switch n.Kind {
	case yaml.MappingNode:
		keys := len(n.Content) / 2
		if keys > maxKeys {
			return n, fmt.Sprintf("a mapping has more than %d keys; split it into several objects", maxKeys)
		}
		s.work += keys * keys
	case yaml.SequenceNode:
		s.work += len(n.Content)
	}
	for i, child := range n.Content {
		list := n.Kind == yaml.SequenceNode && child.Kind == yaml.MappingNode
		if list && i >= maxEntries && depth > 2 {
			return child, fmt.Sprintf("a list has more than %d mappings; split it into several objects", maxEntries)
		}
		if at, wrong := s.measure(child, depth+1); at != nil {
			return at, wrong
		}
	}
	return nil, ""
}

// TooMuch says which limit a build exceeds; "" for none.
func (s *Shape) TooMuch() string {
	switch {
	case s.nodes > maxNodes:
		return fmt.Sprintf("one build reads more than %d values, counting from this file; place clusters on smaller overlays", maxNodes)
	case s.work > maxWork:
		return "one build reads too many large mappings, counting from this file; split them, or place clusters on smaller overlays"
	}
	return ""
}

func checkAliases(file string, doc *yaml.Node) *fleet.Problem {
	e := expansion{sizes: map[*yaml.Node]int{}}
	switch size := e.size(doc); {
	case e.cycle != nil:
		return problemAt(file, e.cycle, "the alias *"+e.cycle.Value+" is inside its own anchor; write the value out")
	case size-len(e.sizes) > maxExpansion:
		at := cmp.Or(e.large, doc)
		return problemAt(file, at, fmt.Sprintf("the alias *%s and others expand to more than %d nodes; write the values out", at.Value, maxExpansion))
	}
	return nil
}

// expansion counts the nodes that a document has once its aliases are written out,
// without writing them out.
type expansion struct {
	sizes map[*yaml.Node]int
	cycle *yaml.Node // an alias inside its own anchor
	large *yaml.Node // the first alias that expands too far
}

const (
	expanding = -1 // the size of a node that is being counted
	inCycle   = -2 // the size of such a node for an alias in it
)

func (e *expansion) size(n *yaml.Node) int {
	size, known := e.sizes[n]
	switch {
	case size == expanding:
		return inCycle
	case known:
		return size
	}
	e.sizes[n] = expanding
	size = 1
	if n.Kind == yaml.AliasNode {
		if size = e.size(n.Alias); size == inCycle {
			e.cycle, size = n, 0
		} else if size > maxExpansion && e.large == nil {
			e.large = n
		}
	}
	for _, child := range n.Content {
		size = min(size+e.size(child), 1<<30) // the true size may overflow
	}
	e.sizes[n] = size
	return size
}

// CountObjects counts the objects in a file, and those in lists as kustomize does. For a
// file of few objects it returns an upper bound.
func CountObjects(data []byte) int {
	if n := bytes.Count(data, []byte("kind")) + bytes.Count(data, []byte(`\`)); n < 50 { // A key may be written with escapes.
		return n
	}
	n := 0
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return n
		}
		n += objectsIn(doc.Content[0])
	}
}

// plainKind matches the kind of an object at the start of a line.
var plainKind = regexp.MustCompile(`(?m)^kind:[ \t]+["']?(\w+)`)

// HoldsNoObject reports whether a file of resources has documents, none of which holds an
// object: they are empty, null, or lists without items.
func HoldsNoObject(data []byte) bool {
	for _, kind := range plainKind.FindAllSubmatch(data, -1) {
		if !bytes.HasSuffix(kind[1], []byte("List")) {
			return false
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return errors.Is(err, io.EOF)
		}
		if root := doc.Content[0]; root.ShortTag() != "!!null" && !isEmptyList(root) {
			return false
		}
	}
}

// IsRemark reports whether a file has comments, and no object that is commented out. flux
// bootstrap replaces such files by others.
func IsRemark(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte("#")) && !commentedKind.Match(data)
}

var commentedKind = regexp.MustCompile(`(?m)^\s*#.*\bkind:`)

// isEmptyList reports whether kustomize reads a node as a list of objects without any.
func isEmptyList(n *yaml.Node) bool {
	kind, items := Child(n, "kind"), Child(n, "items")
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		return true
	}
	if kind == nil || !strings.HasSuffix(kind.Value, "List") || items == nil && kind.Value != "List" {
		return false
	}
	return items == nil || !slices.ContainsFunc(items.Content, func(item *yaml.Node) bool { return !isEmptyList(item) })
}

func objectsIn(n *yaml.Node) int {
	kind, items := Child(n, "kind"), Child(n, "items")
	if kind == nil {
		return 0
	}
	if !strings.HasSuffix(kind.Value, "List") || items == nil {
		return 1
	}
	count := 0
	for _, item := range items.Content {
		count += objectsIn(item)
	}
	return count
}

// Child returns the value of a key of a mapping, or nil.
func Child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
