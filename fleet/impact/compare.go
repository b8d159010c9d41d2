package impact

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-gitops/tributary/fleet"
)

// Pair is what one cluster is served before and after a change; nil where the cluster does not
// exist. A cluster that cannot be served afterwards keeps what it has, so nothing changes for it.
type Pair struct {
	Cluster       string
	Before, After *fleet.Rendered
}

// Options say what Compare finds beside what becomes of each input.
type Options struct {
	// Fields finds the fields in which changed inputs differ, and Values also their values.
	Fields, Values bool
	// Changes keeps the texts of inputs that differ.
	Changes bool
}

// Diff is what changes for one cluster.
type Diff struct {
	Cluster string
	// Changes are the inputs that differ, by set in the order of the release and by ID. They are
	// nil without Options.Changes.
	Changes []fleet.InputChange

	pair   Pair
	group  fleet.ImpactGroup // without Clusters
	key    [sha256.Size]byte // is equal for equal groups
	inputs int               // how many the cluster was served
	lost   []lostInput
}

// lostInput is an input that a cluster loses, with the object that it was made of. An input that is
// made of another object afterwards is lost in that sense.
type lostInput struct {
	fleet.InputRef
	object fleet.ObjectRef
}

// String names the input and, where it is known, the object.
func (in lostInput) String() string {
	if in.object.Kind == "" {
		return in.InputRef.String()
	}
	return fmt.Sprintf("%s (%s %s)", in.InputRef, in.object.Kind, in.object.Name)
}

// yieldThreshold is how many clusters are compared without yielding the processor. Somebody waits
// for a change of a few clusters; polls should not wait for a change of thousands.
const yieldThreshold = 100

// Compare returns the differences of pairs that have any, in the order of the pairs, which are sorted
// by cluster. The caller leaves out pairs that are known to be the same. Pairs are compared in parallel.
// Earlier is what Compare returned with the same options, or nil: pairs of then are not compared again.
func Compare(pairs []Pair, o Options, earlier []Diff) ([]Diff, error) {
	workers := min(runtime.GOMAXPROCS(0), len(pairs))
	if workers <= 1 {
		return o.compare(pairs, earlier)
	}
	found := make([][]Diff, workers)
	var group errgroup.Group
	for w := range workers {
		group.Go(func() (err error) {
			found[w], err = o.compare(pairs[w*len(pairs)/workers:(w+1)*len(pairs)/workers], earlier)
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(found...), err
}

func (o Options) compare(pairs []Pair, earlier []Diff) (found []Diff, err error) {
	c := &comparison{Options: o, fields: map[inputPair][]fleet.FieldEffect{}}
	for _, p := range pairs {
		for len(earlier) > 0 && earlier[0].Cluster < p.Cluster {
			earlier = earlier[1:]
		}
		if len(earlier) > 0 && earlier[0].pair == p {
			found = append(found, earlier[0])
			continue
		}
		if len(pairs) > yieldThreshold {
			runtime.Gosched()
		}
		d, err := c.compare(p)
		if err != nil {
			return nil, err
		}
		if !d.isEmpty() {
			d.key = sha256.Sum256(fleet.EncodeJSON(d.group))
			found = append(found, d)
		}
	}
	return found, nil
}

func (d *Diff) isEmpty() bool {
	g := &d.group
	return len(d.Changes)+len(g.Changes)+len(g.Vanished)+len(g.Emptied)+len(g.StaleParts) == 0
}

// comparison compares one pair after another. It remembers the fields in which two inputs differ,
// because most clusters share their inputs.
type comparison struct {
	Options
	fields map[inputPair][]fleet.FieldEffect
}

type inputPair struct{ before, after *fleet.Input }

func (c *comparison) compare(p Pair) (Diff, error) {
	d := Diff{Cluster: p.Cluster, pair: p}
	if p.After != nil && !p.After.IsServed() {
		return d, nil // the cluster keeps what it has
	}
	renamed := c.identityFields(p)
	for _, set := range setsOf(p) {
		before, after := answer(p.Before, set), answer(p.After, set)
		if c.Options.Changes {
			d.Changes = append(d.Changes, inputChanges(p.Cluster, set, before, after)...)
		}
		effects, err := c.inputEffects(set, before, after, renamed)
		if err != nil {
			return d, err
		}
		d.lost = append(d.lost, lostOf(set, before, after)...)
		d.group.Changes = append(d.group.Changes, effects...)
	}
	d.group.Changes = pairMoves(d.group.Changes)
	addLosses(&d.group, p)
	d.inputs = p.Before.Count()
	return d, nil
}

// setsOf returns the input sets of a pair: those of the release that the cluster is on afterwards,
// in order, and then those that only the release before has.
func setsOf(p Pair) []string {
	var sets []string
	for _, r := range []*fleet.Rendered{p.After, p.Before} {
		if r == nil {
			continue
		}
		for _, set := range r.Sets {
			if !slices.Contains(sets, set) {
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// answer returns what a cluster is served of a set; nil for nothing.
func answer(r *fleet.Rendered, set string) *fleet.Answer {
	if r == nil {
		return nil
	}
	return r.Inputs[set]
}

// eachInput calls yield for each ID in one of two answers, or in both; the other input is nil.
func eachInput(before, after *fleet.Answer, yield func(a, b *fleet.Input) error) error {
	for a, b := before.List(), after.List(); len(a)+len(b) > 0; {
		var err error
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].ID < b[0].ID:
			err, a = yield(a[0], nil), a[1:]
		case len(a) == 0 || b[0].ID < a[0].ID:
			err, b = yield(nil, b[0]), b[1:]
		default:
			err, a, b = yield(a[0], b[0]), a[1:], b[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inputEffects returns what becomes of the inputs of one set. Renamed are the fields in which the
// identity of the cluster differs, which every input has.
func (c *comparison) inputEffects(set string, before, after *fleet.Answer, renamed []fleet.FieldEffect) (found []fleet.InputEffect, err error) {
	err = eachInput(before, after, func(a, b *fleet.Input) (err error) {
		e := fleet.InputEffect{Set: set}
		switch {
		case b == nil:
			e.ID, e.Effect = a.ID, fleet.Removed
		case a == nil:
			e.ID, e.Effect = b.ID, fleet.Added
		case len(renamed) > 0 || !a.Same(b):
			e.ID, e.Effect = a.ID, fleet.Changed
			e.Fields, err = c.inputFields(a, b, renamed)
		default:
			return nil
		}
		found = append(found, e)
		return err
	})
	return found, err
}

// lostOf returns the inputs of one set of which the objects are lost: those that are removed, and
// those that another object makes afterwards.
func lostOf(set string, before, after *fleet.Answer) (lost []lostInput) {
	if before == after {
		return nil
	}
	_ = eachInput(before, after, func(a, b *fleet.Input) error {
		if a == nil || a == b || b != nil && isSameObject(a.MadeOf(), b.MadeOf()) {
			return nil
		}
		lost = append(lost, lostInput{fleet.InputRef{Set: set, ID: a.ID}, a.MadeOf()})
		return nil
	})
	return lost
}

// isSameObject reports whether two are the same object, in whatever version.
func isSameObject(a, b fleet.ObjectRef) bool {
	group := func(o fleet.ObjectRef) string { return fleet.Object{APIVersion: o.APIVersion}.Group() }
	return a == b || group(a) == group(b) && a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name
}

// inputChanges returns the inputs of one set that differ, with their texts.
func inputChanges(cluster, set string, before, after *fleet.Answer) (changes []fleet.InputChange) {
	if before == after {
		return nil
	}
	sameIdentity := before != nil && after != nil && string(before.Identity) == string(after.Identity)
	_ = eachInput(before, after, func(a, b *fleet.Input) error {
		if a != nil && b != nil && sameIdentity && a.Same(b) {
			return nil
		}
		change := fleet.InputChange{Cluster: cluster, Set: set}
		if a != nil {
			change.ID, change.Before = a.ID, before.Input(a)
		}
		if b != nil {
			change.ID, change.After = b.ID, after.Input(b)
		}
		changes = append(changes, change)
		return nil
	})
	return changes
}

// pairMoves makes one effect of an input that is removed from a set and added to another.
func pairMoves(changes []fleet.InputEffect) []fleet.InputEffect {
	added := map[string]int{} // the first of each ID
	removed := false
	for i, c := range changes {
		removed = removed || c.Effect == fleet.Removed
		if _, found := added[c.ID]; c.Effect == fleet.Added && !found {
			added[c.ID] = i
		}
	}
	if len(added) == 0 || !removed {
		return changes
	}
	for i, c := range changes {
		if at, found := added[c.ID]; found && c.Effect == fleet.Removed {
			changes[i].Effect, changes[i].To = fleet.Moved, changes[at].Set
			changes[at].Effect = "" // it is part of the move
			delete(added, c.ID)
		}
	}
	return slices.DeleteFunc(changes, func(c fleet.InputEffect) bool { return c.Effect == "" })
}

// addLosses adds the sets that the cluster loses, and the parts of deltas that stop applying. A
// cluster that is decommissioned or purged loses inputs only.
func addLosses(g *fleet.ImpactGroup, p Pair) {
	if !p.Before.IsServed() || p.Before.Decommissioned || p.After == nil || p.After.Decommissioned {
		return
	}
	for set, before := range p.Before.Inputs {
		after, there := p.After.Inputs[set]
		switch {
		case !there:
			g.Vanished = append(g.Vanished, set)
		case len(before.List()) > 0 && len(after.List()) == 0:
			g.Emptied = append(g.Emptied, set)
		}
	}
	slices.Sort(g.Vanished)
	slices.Sort(g.Emptied)
	for _, s := range p.After.Stale {
		if !slices.ContainsFunc(p.Before.Stale, func(before fleet.StalePart) bool { return before.Part == s.Part }) {
			g.StaleParts = append(g.StaleParts, s.Delta+" "+s.Field)
		}
	}
}

// identityFields returns the fields in which the identity of the cluster differs.
func (c *comparison) identityFields(p Pair) (found []fleet.FieldEffect) {
	if p.Before == nil || p.After == nil || p.Before.Cluster.SameIdentity(p.After.Cluster) {
		return nil
	}
	var before, after any
	// The texts were encoded just now, so that they can be decoded.
	_ = json.Unmarshal(fleet.EncodeJSON(p.Before.Cluster.Identity()), &before)
	_ = json.Unmarshal(fleet.EncodeJSON(p.After.Cluster.Identity()), &after)
	c.walk("cluster", before, after, &found)
	return found
}
