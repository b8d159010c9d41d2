package fleet

import (
	"cmp"
	"iter"
	"slices"

	"github.com/benbjohnson/immutable"
)

// Deltas are the deltas in force. The zero value holds none. Deltas are immutable: With returns
// another value that shares what did not change, so that a write to one of ten thousand clusters
// does not copy the deltas of the others.
type Deltas struct {
	byID *immutable.Map[string, *Delta]
	// named are those that are not a cluster's own, in the order in which they are applied.
	named []namedDelta
	// expiring are those that expire, sorted by ID.
	expiring []*Delta
}

type namedDelta struct {
	*Delta
	Matcher
}

// NewDeltas returns the deltas of a list. Of two with one ID the later counts.
func NewDeltas(list []*Delta) Deltas {
	changes := make([]DeltaChange, len(list))
	for i, d := range list {
		changes[i] = DeltaChange{Delta: d.ID(), After: d}
	}
	return Deltas{}.With(changes)
}

// With returns the deltas after changes.
func (s Deltas) With(changes []DeltaChange) Deltas {
	if len(changes) == 0 {
		return s
	}
	next := Deltas{byID: s.byID, named: s.named, expiring: s.expiring}
	if next.byID == nil {
		next.byID = immutable.NewMap[string, *Delta](nil)
	}
	named, expiring := false, false
	for _, c := range changes {
		before, _ := next.byID.Get(c.Delta)
		if c.After == nil {
			next.byID = next.byID.Delete(c.Delta)
		} else {
			next.byID = next.byID.Set(c.Delta, c.After)
		}
		for _, d := range []*Delta{before, c.After} {
			named = named || d != nil && d.Cluster == ""
			expiring = expiring || d != nil && d.ExpiresAt != nil
		}
	}
	if named {
		next.named = nil
		for _, d := range next.All() {
			if d.Cluster == "" {
				next.named = append(next.named, namedDelta{d, d.Scope.Matcher()})
			}
		}
		slices.SortFunc(next.named, func(a, b namedDelta) int { return CompareDeltas(a.Delta, b.Delta) })
	}
	if expiring {
		next.expiring = nil
		for _, d := range next.All() {
			if d.ExpiresAt != nil {
				next.expiring = append(next.expiring, d)
			}
		}
		slices.SortFunc(next.expiring, compareIDs)
	}
	return next
}

// Get returns the delta of an ID, or nil.
func (s Deltas) Get(id string) *Delta {
	if s.byID == nil {
		return nil
	}
	d, _ := s.byID.Get(id)
	return d
}

// Len returns how many deltas there are.
func (s Deltas) Len() int {
	if s.byID == nil {
		return 0
	}
	return s.byID.Len()
}

// All iterates over the deltas by ID, in no particular order.
func (s Deltas) All() iter.Seq2[string, *Delta] {
	return func(yield func(string, *Delta) bool) {
		if s.byID == nil {
			return
		}
		for i := s.byID.Iterator(); !i.Done(); {
			if id, d, _ := i.Next(); !yield(id, d) {
				return
			}
		}
	}
}

// List returns the deltas sorted by ID. The caller owns the slice.
func (s Deltas) List() []*Delta {
	all := make([]*Delta, 0, s.Len())
	for _, d := range s.All() {
		all = append(all, d)
	}
	slices.SortFunc(all, compareIDs)
	return all
}

// Expiring returns the deltas that expire, sorted by ID.
func (s Deltas) Expiring() []*Delta { return s.expiring }

// For returns the deltas of a cluster, in the order in which they are applied.
func (s Deltas) For(c *Cluster) []*Delta {
	var deltas []*Delta
	for _, n := range s.named {
		if n.Matches(c) {
			deltas = append(deltas, n.Delta)
		}
	}
	if s.Len() == len(s.named) {
		return deltas // no cluster has one of its own
	}
	if own := s.Get(OwnID(c.Name)); own != nil {
		deltas = append(deltas, own)
	}
	return deltas
}

// Without returns the changes after which no delta names any of the clusters. A delta that is
// for no cluster then is dropped.
func (s Deltas) Without(clusters ...string) (changes []DeltaChange) {
	gone := func(name string) bool { return slices.Contains(clusters, name) }
	for _, d := range s.List() {
		c := DeltaChange{Delta: d.ID(), Before: d}
		switch {
		case gone(d.Cluster):
		case d.Scope.names(gone):
			if scope, empty := d.Scope.without(gone); !empty {
				after := *d
				after.Scope = scope
				c.After = &after
			}
		default:
			continue
		}
		changes = append(changes, c)
	}
	return changes
}

// DeltasFor returns those of a list that are for a cluster, in the order in which they are
// applied. The error is Problems where the list makes no sense as the deltas in force.
func DeltasFor(c *Cluster, list []*Delta) ([]*Delta, error) {
	var problems Problems
	seen := map[string]bool{}
	for _, d := range list {
		for _, p := range d.CheckScope() {
			p.Field = d.ID() + ": " + p.Field
			problems = append(problems, p)
		}
		if seen[d.ID()] {
			problems = append(problems, Problem{Field: d.ID(), Message: "appears twice; remove one"})
		}
		seen[d.ID()] = true
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return NewDeltas(list).For(c), nil
}

func compareIDs(a, b *Delta) int { return cmp.Compare(a.ID(), b.ID()) }
