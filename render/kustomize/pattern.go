package kustomize

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits on one regular expression. Compiled, it takes memory for each of its states, and
// matching takes time for each.
const (
	// MaxPattern limits a regular expression or a label selector, in bytes.
	MaxPattern = 4 << 10
	byteStates = 8 // states for each byte
	// TargetStates are those that the short name of a patch's target may have. Such names
	// are of 63 or 253 characters.
	TargetStates = 300
)

// CheckPattern returns how many states a regular expression has at most, and what is wrong
// with its size; "" for nothing, and for text that is not a regular expression. A
// repetition such as [a-z]{63} has as many states as repetitions; spare is how many there
// may be beside a few for each byte.
func CheckPattern(text string, spare int) (states int, wrong string) {
	if len(text) > MaxPattern {
		return 0, fmt.Sprintf("is a regular expression of %d bytes, and one may have at most %d; shorten it", len(text), MaxPattern)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, ""
	}
	states = statesOf(parsed)
	if limit := spare + byteStates*len(text); states > limit {
		return 0, fmt.Sprintf("is a regular expression whose repetitions multiply to more than %d states, the bound for its length; shorten them", limit)
	}
	return states, ""
}

// statesOf counts the states once repetitions are written out.
func statesOf(re *syntax.Regexp) int {
	const most = 1 << 30
	states := 1 + len(re.Rune)
	if re.Op == syntax.OpCharClass {
		states = 1
	}
	for _, sub := range re.Sub {
		states = min(states+statesOf(sub), most)
	}
	if re.Op == syntax.OpRepeat {
		states = min(states*max(re.Min, re.Max, 1), most)
	}
	return states
}

// checkPatterns reports the regular expressions in a kustomization, a file of replacements
// or the configuration of a plugin that are too large. selects reports that n is below a
// field that selects objects. at replaces the lines of text within other text; 0 does not.
func (v *Vetting) checkPatterns(file string, at int, n *yaml.Node, selects bool) {
	if n.Kind == yaml.AliasNode {
		v.checkPatterns(file, at, n.Alias, selects)
		return
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode {
			v.checkPatterns(file, at, child, selects)
			continue
		}
		if i%2 == 0 {
			continue
		}
		key := strings.ToLower(n.Content[i-1].Value) // kustomize's decoder ignores the case
		if selects && child.Kind == yaml.ScalarNode && slices.Contains(patternFields, key) {
			if _, wrong := CheckPattern(child.Value, TargetStates); wrong != "" {
				line := child.Line
				if at > 0 {
					line = at
				}
				v.problem(reference{file: file, field: n.Content[i-1].Value, line: line}, "%s", wrong)
			}
		}
		v.checkPatterns(file, at, child, selects || slices.Contains(selectingFields, key))
	}
}

var (
	patternFields   = []string{"group", "version", "kind", "name", "namespace"}
	selectingFields = []string{"target", "select", "reject", "images", "imagetag"}
)
