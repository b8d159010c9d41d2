package render

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxExpansion bounds the nodes that aliases may add to a file. Honest files
// repeat a few dozen; a bomb of nine short lines stands for billions.
const maxExpansion = 100_000

// checkYAML refuses a file whose aliases would expand beyond bounds, or into
// themselves, and one whose shape would make reading it slow. Text that is no
// YAML passes: whoever reads it says so better.
func checkYAML(file string, data []byte) *fleet.Problem {
	_, p := readShape(file, data)
	return p
}

// readShape is checkYAML, and tells the shape of all documents together.
func readShape(file string, data []byte) (shape, *fleet.Problem) {
	var s shape
	aliases := bytes.ContainsRune(data, '*') && bytes.ContainsRune(data, '&')
	if len(data) < shapeless && !aliases {
		return shape{nodes: len(data) / 4}, nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return s, nil
		}
		if at, wrong := s.measure(&doc, 0); at != nil {
			return s, &fleet.Problem{File: file, Line: at.Line, Message: wrong}
		}
		if aliases {
			if p := checkAliases(file, &doc); p != nil {
				return s, p
			}
		}
	}
}

func checkAliases(file string, doc *yaml.Node) *fleet.Problem {
	e := expansion{sizes: map[*yaml.Node]int{}}
	switch size := e.size(doc); {
	case e.cycle:
		return &fleet.Problem{File: file, Line: doc.Line, Message: "an alias stands inside its own anchor; write the value out"}
	case size-len(e.sizes) > maxExpansion:
		return &fleet.Problem{File: file, Line: doc.Line, Message: fmt.Sprintf(
			"aliases expand to more than %d nodes; write the values out", maxExpansion)}
	}
	return nil
}

// expansion computes how many nodes a document has once its aliases are
// written out, without writing them out.
type expansion struct {
	sizes map[*yaml.Node]int
	cycle bool
}

const expanding = -1 // the size of a node that is being computed

func (e *expansion) size(n *yaml.Node) int {
	size, known := e.sizes[n]
	switch {
	case size == expanding:
		e.cycle = true
		return 0
	case known:
		return size
	}
	e.sizes[n] = expanding
	size = 1
	if n.Kind == yaml.AliasNode {
		size = e.size(n.Alias)
	}
	for _, child := range n.Content {
		size = min(size+e.size(child), 1<<30) // saturates: a bomb's true size overflows
	}
	e.sizes[n] = size
	return size
}

// countObjects counts the objects in a file, lists taken apart as kustomize
// does. For a file of a few it only bounds them.
func countObjects(data []byte) int {
	if n := bytes.Count(data, []byte("kind")); n < 50 {
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

func objectsIn(n *yaml.Node) int {
	kind := child(n, "kind")
	items := child(n, "items")
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

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlProblem turns a syntax error of the YAML library into a problem. The
// library tells the line in its text alone.
func yamlProblem(file string, err error) fleet.Problem {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fleet.Problem{File: file, Message: "ends in the middle of a value"}
	}
	text := err.Error()
	p := fleet.Problem{File: file, Line: 1, Message: "not YAML: " + yamlLine.ReplaceAllString(text, "")}
	if m := yamlLine.FindStringSubmatch(text); m != nil && m[1] != "" { // it leaves out the first line
		p.Line, _ = strconv.Atoi(m[1])
	}
	return p
}
