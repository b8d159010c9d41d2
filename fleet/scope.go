package fleet

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// Scope says which clusters a named delta or a pin is for: those that it names, or those that a
// selector matches, and not both. An empty selector matches every cluster.
type Scope struct {
	Clusters []string  `json:"clusters,omitempty"`
	Selector *Selector `json:"selector,omitempty"`
}

// IsZero reports whether the scope says nothing.
func (s Scope) IsZero() bool { return s.Clusters == nil && s.Selector == nil }

// Check reports what is wrong with the scope: problems of the fields selector and clusters.
func (s Scope) Check() Problems {
	switch {
	case s.Selector != nil && s.Clusters != nil:
		return Problems{{Field: "clusters", Message: "name clusters or give a selector, not both"}}
	case s.Selector == nil && len(s.Clusters) == 0:
		return Problems{{Field: "selector", Message: "say which clusters it is for: name clusters, or give a selector; {} selects all"}}
	case s.Selector != nil:
		if _, err := s.Selector.Compile(); err != nil {
			return Problems{{Field: "selector", Message: err.Error()}}
		}
	}
	return nil
}

// without returns the scope without the names that gone reports, and whether it is for no
// cluster any more.
func (s Scope) without(gone func(name string) bool) (Scope, bool) {
	s.Clusters = slices.DeleteFunc(slices.Clone(s.Clusters), gone)
	return s, len(s.Clusters) == 0
}

// names reports whether the scope names any of the clusters that gone reports.
func (s Scope) names(gone func(name string) bool) bool { return slices.ContainsFunc(s.Clusters, gone) }

// Matcher is a scope in the form that is compared with clusters.
type Matcher struct {
	clusters map[string]bool
	selector labels.Selector
}

// Matcher compiles the scope. A selector that cannot be compiled matches nothing; it was refused
// when it was written.
func (s Scope) Matcher() Matcher {
	m := Matcher{clusters: map[string]bool{}}
	for _, name := range s.Clusters {
		m.clusters[name] = true
	}
	if s.Selector != nil {
		m.selector, _ = s.Selector.Compile()
	}
	return m
}

// Names reports whether the scope names the cluster.
func (m Matcher) Names(cluster string) bool { return m.clusters[cluster] }

// Matches reports whether the scope is for the cluster.
func (m Matcher) Matches(c *Cluster) bool {
	return m.clusters[c.Name] || m.selector != nil && m.selector.Matches(labels.Set(c.Labels))
}
