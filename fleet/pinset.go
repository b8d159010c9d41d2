package fleet

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// pinSet is the pins in force, in the order in which they hold. It is immutable.
type pinSet struct {
	byName map[string]*Pin
	order  []compiledPin
}

type compiledPin struct {
	*Pin
	selector labels.Selector // nil where it names clusters
}

func newPinSet(pins []*Pin) pinSet {
	s := pinSet{byName: map[string]*Pin{}}
	for _, p := range pins {
		s.byName[p.Name] = p
	}
	s.compile()
	return s
}

func (s *pinSet) compile() {
	s.order = nil
	for _, p := range s.byName {
		c := compiledPin{Pin: p}
		if p.Selector != nil {
			c.selector, _ = p.Selector.Compile() // One that cannot be compiled was refused when it was written.
		}
		s.order = append(s.order, c)
	}
	slices.SortFunc(s.order, func(a, b compiledPin) int { return cmp.Compare(a.Name, b.Name) })
}

func (s pinSet) with(changes []PinChange) pinSet {
	next := pinSet{byName: maps.Clone(s.byName)}
	if next.byName == nil {
		next.byName = map[string]*Pin{}
	}
	for _, c := range changes {
		if c.After == nil {
			delete(next.byName, c.Pin)
		} else {
			next.byName[c.Pin] = c.After
		}
	}
	next.compile()
	return next
}

// of is the pin that holds for a cluster; nil for none.
func (s pinSet) of(c *Cluster) *Pin {
	var first *Pin
	for _, p := range s.order {
		switch {
		case slices.Contains(p.Clusters, c.Name):
			return p.Pin
		case first == nil && p.selector != nil && p.selector.Matches(labels.Set(c.Labels)):
			first = p.Pin
		}
	}
	return first
}

// without are the changes after which no pin is for a cluster by its name. One that
// is then for none is dropped.
func (s pinSet) without(clusters ...string) (changes []PinChange) {
	gone := func(name string) bool { return slices.Contains(clusters, name) }
	for _, p := range s.order {
		if !slices.ContainsFunc(p.Clusters, gone) {
			continue
		}
		c := PinChange{Pin: p.Name, Before: p.Pin}
		if others := slices.DeleteFunc(slices.Clone(p.Clusters), gone); len(others) > 0 {
			after := *p.Pin
			after.Clusters = others
			c.After = &after
		}
		changes = append(changes, c)
	}
	return changes
}

// list are all pins, sorted by name.
func (s pinSet) list() []*Pin {
	all := make([]*Pin, 0, len(s.order))
	for _, p := range s.order {
		all = append(all, p.Pin)
	}
	return all
}

// key tells which base the pin's release stands for.
func (p *Pin) key() releaseKey { return releaseKey{p.Revision, p.Snapshot} }
