package render

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Limits on the shape of YAML, because those who read it after us take time by
// the square of some of it: the keys of a mapping are compared with one another
// to find those that stand twice, a list whose entries are merged by name is
// searched for each of them, and what lies deep is copied on each level. At
// these bounds the worst file takes seconds; honest ones are far below.
const (
	maxKeys    = 10_000
	maxEntries = 2_000 // of a list of mappings, other than the items of a List
	maxDepth   = 200
	// maxWork bounds the sum of the squares in one build.
	maxWork = 4 * maxKeys * maxKeys
	// maxNodes bounds the values in one build.
	maxNodes = 1_000_000
	// maxProblems is how many problems of one file are told; who mends those
	// finds the rest.
	maxProblems = 1_000
	// shapeless is the size of a file below which no bound can be passed.
	shapeless = 4 << 10
)

// shape is what makes YAML slow to read.
type shape struct{ nodes, work int }

func (s *shape) add(other shape) {
	s.nodes += other.nodes
	s.work += other.work
}

// measure adds the shape of a node and all below it. It returns what is wrong,
// and at which node; nil if nothing.
func (s *shape) measure(n *yaml.Node, depth int) (*yaml.Node, string) {
	if depth > maxDepth {
		return n, fmt.Sprintf("lies more than %d levels deep; flatten it", maxDepth)
	}
	s.nodes++
	switch n.Kind {
	case yaml.MappingNode:
		keys := len(n.Content) / 2
		if keys > maxKeys {
			return n, fmt.Sprintf("a mapping of more than %d keys; split it into several objects", maxKeys)
		}
		s.work += keys * keys
	case yaml.SequenceNode:
		s.work += len(n.Content)
	}
	for i, child := range n.Content {
		list := n.Kind == yaml.SequenceNode && child.Kind == yaml.MappingNode
		if list && i >= maxEntries && depth > 2 {
			return child, fmt.Sprintf("a list of more than %d mappings; split it into several objects", maxEntries)
		}
		if at, wrong := s.measure(child, depth+1); at != nil {
			return at, wrong
		}
	}
	return nil, ""
}

// tooMuch says what of a build is beyond bounds; "" if nothing.
func (s *shape) tooMuch() string {
	switch {
	case s.nodes > maxNodes:
		return fmt.Sprintf("is where one build passes %d values; place clusters on smaller overlays", maxNodes)
	case s.work > maxWork:
		return "is where the large mappings of one build become too many; split them, or place clusters on smaller overlays"
	}
	return ""
}
