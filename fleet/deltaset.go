package fleet

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// deltaSet is the deltas in force. It is immutable.
type deltaSet struct {
	byID shelves[Delta]
	// named are those that are not a cluster's own, in the order in which they
	// are applied.
	named []namedDelta
	// expiring are those that end by themselves, sorted by ID.
	expiring []*Delta
}

// namedDelta knows which clusters it is for.
type namedDelta struct {
	*Delta
	selector labels.Selector
	clusters map[string]bool
}

func newDeltaSet(all shelves[Delta]) deltaSet {
	s := deltaSet{byID: all}
	for _, d := range all.each() {
		if d.ExpiresAt != nil {
			s.expiring = append(s.expiring, d)
		}
		if d.Cluster == "" {
			s.named = append(s.named, newNamedDelta(d))
		}
	}
	slices.SortFunc(s.named, func(a, b namedDelta) int { return CompareDeltas(a.Delta, b.Delta) })
	slices.SortFunc(s.expiring, compareIDs)
	return s
}

// CompareDeltas puts deltas in the order in which they are applied: named ones by
// priority, then name, and after them clusters' own.
func CompareDeltas(a, b *Delta) int {
	return cmp.Or(
		cmp.Compare(a.Cluster, b.Cluster), // "" for named ones, which come first
		cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(a.Name, b.Name),
	)
}

// DeltasFor returns those of a list that are for a cluster, in the order in which
// they are applied. What makes no sense as a list of deltas in force is Problems.
func DeltasFor(c *Cluster, list []*Delta) ([]*Delta, error) {
	var problems Problems
	seen := map[string]bool{}
	for _, d := range list {
		for _, p := range d.checkScope() {
			p.Field = d.ID() + ": " + p.Field
			problems = append(problems, p)
		}
		if seen[d.ID()] {
			problems = append(problems, Problem{Field: d.ID(), Message: "is there twice; leave one out"})
		}
		seen[d.ID()] = true
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return listed(list).of(c), nil
}

func newNamedDelta(d *Delta) namedDelta {
	n := namedDelta{Delta: d, clusters: map[string]bool{}}
	for _, cluster := range d.Clusters {
		n.clusters[cluster] = true
	}
	if d.Selector != nil {
		n.selector, _ = d.Selector.Compile() // One that cannot be compiled was refused when it was written.
	}
	return n
}

func (n namedDelta) matches(c *Cluster) bool {
	return n.clusters[c.Name] || n.selector != nil && n.selector.Matches(labels.Set(c.Labels))
}

// listed makes a deltaSet of a list.
func listed(deltas []*Delta) deltaSet {
	all := make(map[string]*Delta, len(deltas))
	for _, d := range deltas {
		all[d.ID()] = d
	}
	return newDeltaSet(shelves[Delta]{}.with(all))
}

// of are the deltas of a cluster, in the order in which they are applied.
func (s deltaSet) of(c *Cluster) []*Delta {
	var deltas []*Delta
	for _, n := range s.named {
		if n.matches(c) {
			deltas = append(deltas, n.Delta)
		}
	}
	if s.byID.count == len(s.named) {
		return deltas // nobody has one of his own
	}
	if own := s.byID.get(OwnID(c.Name)); own != nil {
		deltas = append(deltas, own)
	}
	return deltas
}

// with is the set after changes.
func (s deltaSet) with(changes []DeltaChange) deltaSet {
	after, whole := make(map[string]*Delta, len(changes)), false
	for _, c := range changes {
		after[c.Delta] = c.After
		ends := func(d *Delta) bool { return d != nil && d.ExpiresAt != nil }
		whole = whole || c.concerns().Cluster == "" || ends(c.Before) || ends(c.After)
	}
	all := s.byID.with(after)
	if !whole {
		return deltaSet{all, s.named, s.expiring}
	}
	return newDeltaSet(all)
}

// without are the changes after which no delta is for a cluster by its name. One that
// is then for none is dropped.
func (s deltaSet) without(clusters ...string) (changes []DeltaChange) {
	gone := func(name string) bool { return slices.Contains(clusters, name) }
	for _, d := range s.list() {
		c := DeltaChange{Delta: d.ID(), Before: d}
		switch {
		case gone(d.Cluster):
		case slices.ContainsFunc(d.Clusters, gone):
			if others := slices.DeleteFunc(slices.Clone(d.Clusters), gone); len(others) > 0 {
				after := *d
				after.Clusters = others
				c.After = &after
			}
		default:
			continue
		}
		changes = append(changes, c)
	}
	return changes
}

// list are all deltas, sorted by ID.
func (s deltaSet) list() []*Delta {
	all := make([]*Delta, 0, s.byID.count)
	for _, d := range s.byID.each() {
		all = append(all, d)
	}
	slices.SortFunc(all, compareIDs)
	return all
}

func compareIDs(a, b *Delta) int { return cmp.Compare(a.ID(), b.ID()) }

// concerns is the delta that a change is of, as it is or as it was.
func (c DeltaChange) concerns() *Delta { return cmp.Or(c.After, c.Before) }
