package fleet

import (
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// Selector selects by labels, as a Kubernetes LabelSelector does: every requirement must hold,
// and an empty selector matches everything.
type Selector struct {
	MatchLabels      map[string]string     `json:"matchLabels,omitempty"`
	MatchExpressions []SelectorRequirement `json:"matchExpressions,omitempty"`
}

// SelectorRequirement is one of a Selector's MatchExpressions.
type SelectorRequirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

var operators = map[string]selection.Operator{
	"In": selection.In, "NotIn": selection.NotIn,
	"Exists": selection.Exists, "DoesNotExist": selection.DoesNotExist,
}

// Compile returns the selector in the form that is matched against labels.
func (s Selector) Compile() (labels.Selector, error) {
	var all []labels.Requirement
	for key, value := range s.MatchLabels {
		r, err := labels.NewRequirement(key, selection.Equals, []string{value})
		if err != nil {
			return nil, err
		}
		all = append(all, *r)
	}
	for _, e := range s.MatchExpressions {
		op, ok := operators[e.Operator]
		if !ok {
			return nil, fmt.Errorf("operator %q: must be In, NotIn, Exists or DoesNotExist", e.Operator)
		}
		r, err := labels.NewRequirement(e.Key, op, e.Values)
		if err != nil {
			return nil, err
		}
		all = append(all, *r)
	}
	return labels.NewSelector().Add(all...), nil
}
