package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Pin is an instruction that keeps clusters on one release, whatever goes live, until it is
// removed or expires. Of several pins for a cluster the one that names it counts, then the first
// by name. It is immutable once it is part of the log.
type Pin struct {
	// Name is a DNS-1123 label.
	Name string `json:"name"`
	// Scope says which clusters the pin is for.
	Scope
	// Release is the ID of the release.
	Release string `json:"release"`
	// Revision is that of the release. It is output only.
	Revision string `json:"revision,omitempty"`
	// Reason says why, for the history.
	Reason string `json:"reason,omitempty"`
	// ExpiresAt is when the pin is withdrawn; nil for never.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// Snapshot is the digest of the release's tree. It is output only.
	Snapshot string `json:"snapshot,omitempty"`
}

// Ref returns the name of the pin's release.
func (p *Pin) Ref() ReleaseRef { return ReleaseRef{p.Revision, p.Snapshot} }

// Expired reports whether the pin should be withdrawn by now.
func (p *Pin) Expired(now time.Time) bool { return p.ExpiresAt != nil && !now.Before(*p.ExpiresAt) }

// Check reports what is wrong with a pin that somebody asks for.
func (p *Pin) Check(now time.Time) (problems Problems) {
	if len(validation.IsDNS1123Label(p.Name)) > 0 {
		problems = append(problems, Problem{Field: "name", Message: fmt.Sprintf("%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", p.Name)})
	}
	if p.Release == "" {
		problems = append(problems, Problem{Field: "release", Message: "name a release, by its ID or revision"})
	}
	problems = append(problems, p.Scope.Check()...)
	if p.ExpiresAt != nil && !p.ExpiresAt.After(now) {
		problems = append(problems, Problem{Field: "expiresAt", Message: "is in the past"})
	}
	return problems
}

// Pins are the pins in force. The zero value holds none. Pins are immutable.
type Pins struct {
	byName map[string]*Pin
	sorted []compiledPin // by name
}

type compiledPin struct {
	*Pin
	Matcher
}

// NewPins returns the pins of a list.
func NewPins(list []*Pin) Pins {
	byName := make(map[string]*Pin, len(list))
	for _, p := range list {
		byName[p.Name] = p
	}
	return pinsOf(byName)
}

func pinsOf(byName map[string]*Pin) Pins {
	s := Pins{byName: byName}
	for _, p := range byName {
		s.sorted = append(s.sorted, compiledPin{p, p.Scope.Matcher()})
	}
	slices.SortFunc(s.sorted, func(a, b compiledPin) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

// With returns the pins after changes.
func (s Pins) With(changes []PinChange) Pins {
	if len(changes) == 0 {
		return s
	}
	byName := maps.Clone(s.byName)
	if byName == nil {
		byName = map[string]*Pin{}
	}
	for _, c := range changes {
		if c.After == nil {
			delete(byName, c.Pin)
		} else {
			byName[c.Pin] = c.After
		}
	}
	return pinsOf(byName)
}

// Get returns the pin of a name, or nil.
func (s Pins) Get(name string) *Pin { return s.byName[name] }

// Len returns how many pins there are.
func (s Pins) Len() int { return len(s.byName) }

// For returns the pin that counts for a cluster, or nil.
func (s Pins) For(c *Cluster) *Pin {
	var first *Pin
	for _, p := range s.sorted {
		switch {
		case p.Names(c.Name):
			return p.Pin
		case first == nil && p.Matches(c):
			first = p.Pin
		}
	}
	return first
}

// Without returns the changes after which no pin names any of the clusters. A pin that is for no
// cluster then is dropped.
func (s Pins) Without(clusters ...string) (changes []PinChange) {
	gone := func(name string) bool { return slices.Contains(clusters, name) }
	for _, p := range s.sorted {
		if !p.Scope.names(gone) {
			continue
		}
		c := PinChange{Pin: p.Name, Before: p.Pin}
		if scope, empty := p.Scope.without(gone); !empty {
			after := *p.Pin
			after.Scope = scope
			c.After = &after
		}
		changes = append(changes, c)
	}
	return changes
}

// List returns the pins sorted by name. The caller owns the slice.
func (s Pins) List() []*Pin {
	all := make([]*Pin, len(s.sorted))
	for i, p := range s.sorted {
		all[i] = p.Pin
	}
	return all
}
