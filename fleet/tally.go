package fleet

import (
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
)

// memberEffect is what changes for one cluster.
type memberEffect struct {
	cluster string
	group   ImpactGroup   // without Clusters
	before  int           // how many inputs it had
	changes []InputChange // where they are told
}

// telling is what of effects is told beside what becomes of which input.
type telling struct{ fields, values, changes bool }

// effects are what lies between two views, for each cluster that it touches, sorted by
// name. Before may be nil.
func effects(before, after *View, tell telling) ([]memberEffect, error) {
	return effectsOf(pairsOf(before, after), tell)
}

// effectsOf are those on some clusters.
func effectsOf(pairs []pair, tell telling) ([]memberEffect, error) {
	if len(pairs) == 1 {
		return tell.effects(pairs)
	}
	workers := min(runtime.GOMAXPROCS(0), len(pairs))
	found := make([][]memberEffect, workers)
	var group errgroup.Group
	for w := range workers {
		group.Go(func() (err error) {
			found[w], err = tell.effects(pairs[w*len(pairs)/workers : (w+1)*len(pairs)/workers])
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(found...), err
}

// effects are those on some clusters, found one after the other.
func (t telling) effects(pairs []pair) (found []memberEffect, err error) {
	differ := &differ{telling: t, memo: map[inputs][]FieldEffect{}}
	for _, p := range pairs {
		if len(pairs) > few {
			runtime.Gosched() // as a release is rendered
		}
		e, err := differ.compare(p)
		if err != nil {
			return nil, err
		}
		if len(e.changes) > 0 || !e.group.isEmpty() {
			found = append(found, e)
		}
	}
	return found, nil
}

// pair is a cluster in two views; nil where it is not there.
type pair struct {
	name          string
	before, after *Member
}

// pairsOf are the clusters that are not the same in both views, sorted by name, as the
// members of both are.
func pairsOf(before, after *View) []pair {
	var old []*Member
	if before != nil {
		old = before.members.list()
	}
	var pairs []pair
	for now := after.members.list(); len(old)+len(now) > 0; {
		var p pair
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Cluster.Name < now[0].Cluster.Name:
			p, old = pair{old[0].Cluster.Name, old[0], nil}, old[1:]
		case len(old) == 0 || now[0].Cluster.Name < old[0].Cluster.Name:
			p, now = pair{now[0].Cluster.Name, nil, now[0]}, now[1:]
		default:
			p, old, now = pair{now[0].Cluster.Name, old[0], now[0]}, old[1:], now[1:]
		}
		if !p.isSame() {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

func (g *ImpactGroup) isEmpty() bool {
	return len(g.Changes)+len(g.Vanished)+len(g.Emptied)+len(g.Orphaned) == 0
}

// pairsNamed are those of some names, which are sorted.
func pairsNamed(before, after *View, names []string) []pair {
	var pairs []pair
	for _, name := range names {
		if p := (pair{name, before.named(name), after.named(name)}); !p.isSame() {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// isSame tells whether the cluster has the very same in both views.
func (p pair) isSame() bool {
	a, b := p.before, p.after
	return a == b || a != nil && b != nil && a.rendering != nil && a.rendering == b.rendering &&
		a.State == b.State && a.lost == nil && b.lost == nil
}

// differ compares what clusters are served. It remembers what it found of pairs of
// inputs, because most clusters share them.
type differ struct {
	telling
	memo map[inputs][]FieldEffect
}

type inputs struct{ before, after *Input }

func (d *differ) compare(p pair) (e memberEffect, err error) {
	e.cluster = p.name
	if p.after != nil && p.after.lost != nil {
		return e, nil // It keeps what it has.
	}
	if d.changes {
		e.changes = impact(p.name, p.before, p.after)
	}
	renamed := d.identity(p)
	for _, set := range setsOf(p.before, p.after) {
		found, err := d.set(set, p.before.body(set).list(), p.after.body(set).list(), renamed)
		if err != nil {
			return e, err
		}
		e.group.Changes = append(e.group.Changes, found...)
	}
	e.group.Changes = pairMoves(e.group.Changes)
	e.group.losses(p)
	if p.before != nil && p.before.lost == nil {
		for _, n := range p.before.Counts {
			e.before += n
		}
	}
	return e, nil
}

// set finds what becomes of the inputs of one set. Renamed are the fields in which the
// block differs that names the cluster in each of them.
func (d *differ) set(name string, a, b []*Input, renamed []FieldEffect) (found []InputEffect, err error) {
	for len(a)+len(b) > 0 {
		effect := InputEffect{Set: name}
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].ID < b[0].ID:
			effect.ID, effect.Effect, a = a[0].ID, Removed, a[1:]
		case len(a) == 0 || b[0].ID < a[0].ID:
			effect.ID, effect.Effect, b = b[0].ID, Added, b[1:]
		default:
			if len(renamed) > 0 || !a[0].Same(b[0]) {
				effect.ID, effect.Effect = a[0].ID, Changed
				if effect.Fields, err = d.fieldsOf(a[0], b[0], renamed); err != nil {
					return nil, err
				}
			}
			a, b = a[1:], b[1:]
		}
		if effect.Effect != "" {
			found = append(found, effect)
		}
	}
	return found, nil
}

// identity are the fields in which two clusters differ in what each input says of them.
func (d *differ) identity(p pair) (found []FieldEffect) {
	if p.before == nil || p.after == nil || p.before.Cluster.SameIdentity(p.after.Cluster) {
		return nil
	}
	_ = d.walk("cluster", encode(p.before.Cluster.Identity()), encode(p.after.Cluster.Identity()), &found) // what was encoded just now
	return found
}

// pairMoves makes one of an input that is removed from a set and added to another.
func pairMoves(changes []InputEffect) []InputEffect {
	is := func(e Effect) func(c InputEffect) bool { return func(c InputEffect) bool { return c.Effect == e } }
	if !slices.ContainsFunc(changes, is(Added)) || !slices.ContainsFunc(changes, is(Removed)) {
		return changes
	}
	added := map[string]int{}
	for i, c := range changes {
		if c.Effect == Added {
			if _, told := added[c.ID]; !told {
				added[c.ID] = i
			}
		}
	}
	gone := map[int]bool{}
	for i, c := range changes {
		if at, there := added[c.ID]; there && c.Effect == Removed && !gone[at] {
			changes[i].Effect, changes[i].To = Moved, changes[at].Set
			gone[at] = true
		}
	}
	if len(gone) == 0 {
		return changes
	}
	var kept []InputEffect
	for i, c := range changes {
		if !gone[i] {
			kept = append(kept, c)
		}
	}
	return kept
}

// losses adds the sets and the parts of deltas that the cluster goes without.
func (g *ImpactGroup) losses(p pair) {
	if p.before == nil || p.before.lost != nil || p.after == nil || p.after.State == DecommissionedState {
		return
	}
	for set, n := range p.before.Counts {
		now, there := p.after.Counts[set]
		switch {
		case !there && p.after.lost == nil:
			g.Vanished = append(g.Vanished, set)
		case n > 0 && now == 0 && p.after.lost == nil:
			g.Emptied = append(g.Emptied, set)
		}
	}
	for _, o := range p.after.Orphans {
		if !slices.ContainsFunc(p.before.Orphans, func(old Orphan) bool { return old.Delta == o.Delta && old.Part == o.Part }) {
			g.Orphaned = append(g.Orphaned, o.Delta+" "+o.Field)
		}
	}
	slices.Sort(g.Vanished)
	slices.Sort(g.Emptied)
}
