package fleet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

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
	pairs := pairsOf(before, after)
	workers := runtime.GOMAXPROCS(0)
	found := make([][]memberEffect, workers)
	group, _ := errgroup.WithContext(context.Background())
	for w := range workers {
		group.Go(func() error {
			differ := &differ{telling: tell, memo: map[inputs][]FieldEffect{}}
			for _, p := range pairs[w*len(pairs)/workers : (w+1)*len(pairs)/workers] {
				e, err := differ.compare(p)
				if err != nil {
					return err
				}
				if len(e.changes) > 0 || !e.group.isEmpty() {
					found[w] = append(found[w], e)
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return slices.Concat(found...), err
}

// pair is a cluster in two views; nil where it is not there.
type pair struct {
	name          string
	before, after *Member
}

// pairsOf are the clusters that are not the same in both views.
func pairsOf(before, after *View) []pair {
	var pairs []pair
	for _, m := range after.members {
		if old := before.named(m.Cluster.Name); old != m {
			pairs = append(pairs, pair{m.Cluster.Name, old, m})
		}
	}
	if before != nil {
		for _, m := range before.members {
			if after.named(m.Cluster.Name) == nil {
				pairs = append(pairs, pair{m.Cluster.Name, m, nil})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
	return pairs
}

func (g *ImpactGroup) isEmpty() bool {
	return len(g.Changes)+len(g.Vanished)+len(g.Emptied)+len(g.Orphaned) == 0
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
	if d.changes {
		if e.changes, err = impact(p.name, p.before, p.after); err != nil {
			return e, err
		}
	}
	renamed := d.identity(p)
	for _, set := range setsOf(p.before, p.after) {
		found, err := d.set(set, p.before.set(set), p.after.set(set), renamed)
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

// set are the inputs of the member in a set, sorted by id.
func (m *Member) set(name string) []*Input {
	if m == nil {
		return nil
	}
	return m.inputs[name]
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
	if p.before == nil || p.after == nil || reflect.DeepEqual(p.before.Cluster.Identity(), p.after.Cluster.Identity()) {
		return nil
	}
	var a, b any
	_ = json.Unmarshal(encode(p.before.Cluster.Identity()), &a) // what was encoded just now
	_ = json.Unmarshal(encode(p.after.Cluster.Identity()), &b)
	d.walk("cluster", a, b, &found)
	return found
}

// pairMoves makes one of an input that is removed from a set and added to another.
func pairMoves(changes []InputEffect) []InputEffect {
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

// fieldsOf are those in which two inputs differ.
func (d *differ) fieldsOf(a, b *Input, renamed []FieldEffect) ([]FieldEffect, error) {
	if !d.fields {
		return nil, nil
	}
	found, known := d.memo[inputs{a, b}]
	if !known {
		var x, y map[string]any
		if err := json.Unmarshal(a.AppendTo(nil, []byte("0")), &x); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b.AppendTo(nil, []byte("0")), &y); err != nil {
			return nil, err
		}
		d.walk("", x, y, &found)
		d.memo[inputs{a, b}] = found
	}
	if len(renamed) == 0 {
		return found, nil
	}
	all := slices.Concat(renamed, found)
	slices.SortFunc(all, func(a, b FieldEffect) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// walk compares two values, fields by name and lists by place.
func (d *differ) walk(path string, a, b any, found *[]FieldEffect) {
	if x, is := a.(map[string]any); is {
		if y, is := b.(map[string]any); is {
			for _, key := range keysOf(x, y) {
				d.walkField(joined(path, key), x, y, key, found)
			}
			return
		}
	}
	if x, is := a.([]any); is {
		if y, is := b.([]any); is && len(x) == len(y) {
			for i := range x {
				d.walk(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], found)
			}
			return
		}
	}
	before, after := encode(a), encode(b)
	if !bytes.Equal(before, after) {
		d.note(path, before, after, found)
	}
}

func (d *differ) walkField(path string, x, y map[string]any, key string, found *[]FieldEffect) {
	a, had := x[key]
	b, has := y[key]
	switch {
	case had && has:
		d.walk(path, a, b, found)
	case had:
		d.note(path, encode(a), nil, found)
	default:
		d.note(path, nil, encode(b), found)
	}
}

func (d *differ) note(path string, before, after []byte, found *[]FieldEffect) {
	f := FieldEffect{Path: path}
	if d.values {
		f.Before, f.After = before, after
	}
	*found = append(*found, f)
}

// joined is the path of a field; a name with a dot or the like stands in brackets.
func joined(path, key string) string {
	if strings.ContainsAny(key, `.[]"`) {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func keysOf(a, b map[string]any) []string {
	keys := make([]string, 0, len(a)+len(b))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, there := a[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// impactOf sums effects up.
func impactOf(all []memberEffect) *Impact {
	i := &Impact{Clusters: len(all)}
	groups := map[string]int{}
	for _, e := range all {
		i.count(e.group.Changes)
		key := string(encode(e.group))
		at, there := groups[key]
		if !there {
			at = len(i.Groups)
			groups[key] = at
			i.Groups = append(i.Groups, e.group)
		}
		i.Groups[at].Clusters = append(i.Groups[at].Clusters, e.cluster)
	}
	slices.SortStableFunc(i.Groups, func(a, b ImpactGroup) int {
		return cmp.Or(cmp.Compare(b.lost(), a.lost()), cmp.Compare(len(b.Clusters), len(a.Clusters)), cmp.Compare(a.Clusters[0], b.Clusters[0]))
	})
	return i
}

func (i *Impact) count(changes []InputEffect) {
	for _, c := range changes {
		switch c.Effect {
		case Added:
			i.Added++
		case Changed:
			i.Changed++
			i.Fields += len(c.Fields)
		case Removed:
			i.Removed++
		case Moved:
			i.Moved++
		}
	}
}

// lost is how many inputs each cluster of the group loses.
func (g *ImpactGroup) lost() (n int) {
	for _, c := range g.Changes {
		if c.Effect == Removed || c.Effect == Moved {
			n++
		}
	}
	return n
}

// seal gives the impact its digest: of all that it says, of the release that has it, if
// it is of one, and of who the release is not good for.
func (i *Impact) seal(release releaseKey, failing []FailingCluster) {
	i.Digest = ""
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", release.revision, release.snapshot, encode(i))
	for _, one := range failing {
		fmt.Fprintln(h, one.Cluster)
	}
	i.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// within tells whether all that an impact takes away, another takes away as well.
func (i *Impact) within(other *Impact) bool {
	if other == nil {
		return false
	}
	allowed := map[string]bool{}
	for _, g := range other.Groups {
		for _, loss := range g.lossNames() {
			for _, name := range g.Clusters {
				allowed[name+" "+loss] = true
			}
		}
	}
	for _, g := range i.Groups {
		for _, loss := range g.lossNames() {
			for _, name := range g.Clusters {
				if !allowed[name+" "+loss] {
					return false
				}
			}
		}
	}
	return true
}

// lossNames are all that each cluster of the group loses.
func (g *ImpactGroup) lossNames() []string {
	var names []string
	for _, c := range g.Changes {
		if c.Effect == Removed || c.Effect == Moved {
			names = append(names, "input "+c.Set+"/"+c.ID)
		}
	}
	for _, set := range slices.Concat(g.Vanished, g.Emptied) {
		names = append(names, "set "+set)
	}
	for _, part := range g.Orphaned {
		names = append(names, "part "+part)
	}
	return names
}
