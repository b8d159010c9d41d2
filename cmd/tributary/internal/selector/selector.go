// Package selector reads and prints the clusters that a delta, pin or token is for.
//
//	s, err := selector.Parse("environment=prod,region in (eu,us)")
//	fmt.Println(selector.Describe(s, nil))
package selector

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
)

// ErrEmpty is the error of a --selector flag without labels. An empty selector would
// select every cluster, which a script with an unset variable does not mean.
var ErrEmpty = errors.New("--selector: is empty; name labels")

// Parse reads labels in the syntax of kubectl.
func Parse(text string) (*fleet.Selector, error) {
	requirements, err := labels.ParseToRequirements(text)
	if err != nil {
		return nil, fmt.Errorf("--selector %q: %w", text, err)
	}
	if len(requirements) == 0 {
		return nil, ErrEmpty
	}
	s := &fleet.Selector{}
	for _, r := range requirements {
		key, values := r.Key(), slices.Sorted(slices.Values(r.ValuesUnsorted()))
		if _, taken := s.MatchLabels[key]; len(values) == 1 && !taken && equality[r.Operator()] {
			if s.MatchLabels == nil {
				s.MatchLabels = map[string]string{}
			}
			s.MatchLabels[key] = values[0]
			continue
		}
		operator, ok := operators[r.Operator()]
		if !ok {
			return nil, fmt.Errorf("--selector %q: %s is not supported; use =, !=, in, notin or the presence of a label", text, r.Operator())
		}
		s.MatchExpressions = append(s.MatchExpressions, fleet.SelectorRequirement{Key: key, Operator: operator, Values: values})
	}
	return s, nil
}

var equality = map[selection.Operator]bool{selection.Equals: true, selection.DoubleEquals: true, selection.In: true}

// operators maps kubectl's operators to those of a fleet.Selector.
var operators = map[selection.Operator]string{
	selection.Equals: "In", selection.DoubleEquals: "In", selection.In: "In",
	selection.NotEquals: "NotIn", selection.NotIn: "NotIn",
	selection.Exists: "Exists", selection.DoesNotExist: "DoesNotExist",
}

// Describe returns a selector in the syntax of kubectl, or else the first few of the
// clusters.
func Describe(s *fleet.Selector, clusters []string) string {
	if s == nil {
		return textfmt.List(clusters, 3)
	}
	compiled, err := s.Compile()
	if err != nil {
		return "?" // a newer server may use operators that this version does not know
	}
	if compiled.Empty() {
		return "all"
	}
	return compiled.String()
}
