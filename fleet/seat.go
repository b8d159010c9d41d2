package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// ClusterState is what became of a cluster.
type ClusterState string

const (
	// Active is a cluster that is served from the release that it is on.
	Active ClusterState = "active"
	// OrphanedState is one whose file has vanished: it stays on the release it was on.
	OrphanedState ClusterState = "orphaned"
	// DecommissionedState is one that is to have nothing any more.
	DecommissionedState ClusterState = "decommissioned"
)

// seat is the member that a cluster is in the view, not yet rendered; nil where
// there is no such cluster. A tombstone beats the fleet repo, which beats the API.
func (v *View) seat(name string) *Member {
	record := v.records[name]
	m := &Member{State: Active, base: v.base, marks: v.marks.of(name)}
	if c := v.base.clusters[name]; c != nil && record == nil && len(v.pins.byName) == 0 && v.rollout() == nil {
		m.Cluster = c // as nearly all are nearly always; the rest comes to the same for them
		return m
	}
	if record != nil && record.Decommissioned != nil {
		t := record.Decommissioned
		m.State, m.Cluster, m.tombstone = DecommissionedState, &Cluster{Name: name, DNS: t.DNS, Labels: t.Labels}, t
		return m
	}
	if _, inRepo := v.base.clusters[name]; !inRepo && record != nil && record.Orphaned != nil {
		m.State = OrphanedState
		m.frozen(v, name, record.Orphaned)
		return m
	}
	declared := v.declaration(name)
	if declared == nil {
		return nil
	}
	m.Cluster = declared
	key, is := v.line(declared)
	switch b := v.bases[key]; {
	case !is:
	case key == releaseKey{}:
		m.lost = fmt.Errorf("cluster %q: %w: no release was good for it yet: %s", name, ErrNotReady, record.Stays.Why)
	case b == nil:
		m.lost = fmt.Errorf("cluster %q: %w: it is to be on the release of %s, which %w", name, ErrNotReady, key.revision, errLost)
	default:
		m.base = b
		v.declare(m, key)
	}
	return m
}

// declare has a member that is on another release than the live one be what its file
// says there, or said last. Where nobody knows any more what that was, it is not served:
// what is made of half of it may take away the rest.
func (v *View) declare(m *Member, on releaseKey) {
	name := m.Cluster.Name
	c, there := m.base.clusters[name]
	record := v.records[name]
	switch {
	case there:
		if v.reached[name] || v.inGit(name) {
			m.Cluster = c
		}
	case record != nil && record.Stays != nil && record.Stays.Release.key() == on && record.Stays.File != nil:
		m.Cluster = record.Stays.File.cluster(name)
	case m.Cluster.File == "" && (record == nil || record.Declared == nil):
		m.lost = unknownFile(name, m.base)
	}
}

func unknownFile(name string, b *base) error {
	return fmt.Errorf("cluster %q: %w: it is on the release of %s, which does not have its file, and nobody knows any more what that said", name, ErrNotReady, b.release.Revision)
}

// frozen has a member stay on what it is orphaned on.
func (m *Member) frozen(v *View, name string, o *Orphaned) {
	m.Cluster = &Cluster{Name: name, DNS: o.DNS, Labels: o.Labels}
	b := v.bases[o.Release.key()]
	if b == nil {
		m.lost = fmt.Errorf("cluster %q: %w: it is orphaned, and its release of %s %w", name, ErrNotReady, o.Release.Revision, errLost)
		return
	}
	m.base = b
	c, there := b.clusters[name]
	switch {
	case there:
		m.Cluster = c
	case o.File != nil:
		m.Cluster = o.File.cluster(name)
	default:
		m.lost = unknownFile(name, b)
	}
}

// declaration is the cluster as the fleet repo or else the API declares it: by it
// pins choose; nil for none. A file that came with a release which is being rolled out counts where there is nothing
// else, and one that cannot be read any more as it was.
func (v *View) declaration(name string) *Cluster {
	if c, there := v.base.clusters[name]; there {
		return c
	}
	record := v.records[name]
	if record != nil && record.Declared != nil {
		return record.Declared.cluster(name)
	}
	if b := v.stayBase(record); b != nil {
		if c, there := b.clusters[name]; there {
			return c
		}
		if f := record.Stays.File; f != nil {
			return f.cluster(name)
		}
	}
	if b := v.rolling(); b != nil {
		if c, there := b.clusters[name]; there {
			return c
		}
	}
	if record != nil && record.Stays != nil {
		return &Cluster{Name: name}
	}
	return nil
}

// inGit tells whether it is a file that the cluster is declared by.
func (v *View) inGit(name string) bool {
	if _, there := v.base.clusters[name]; there {
		return true
	}
	record := v.records[name]
	return record == nil || record.Declared == nil || record.Stays != nil
}

// line is the release that a cluster is on, where it is not the live one.
func (v *View) line(c *Cluster) (key releaseKey, is bool) {
	var stays *Stay
	record, p := v.records[c.Name], v.pins.of(c)
	if record != nil {
		stays = record.Stays
	}
	switch {
	case stays.inSpiteOf(p):
		return stays.Release.key(), true
	case p != nil:
		return p.key(), true
	case stays != nil && stays.Not == nil:
		return stays.Release.key(), true
	}
	r := v.rollout()
	if r == nil {
		return releaseKey{}, false
	}
	_, inLive := v.base.clusters[c.Name]
	byAPI := record != nil && record.Declared != nil
	if v.reached[c.Name] && v.rolling().takes(c.Name, byAPI && !inLive) || !inLive && !byAPI {
		return r.Release.key(), true
	}
	return releaseKey{}, false
}

// takes tells whether a cluster can go with a release: one whose file that has no
// more stays where it is. One that cannot be taken up here takes all.
func (b *base) takes(cluster string, byAPI bool) bool {
	if b == nil {
		return true // it is lost, and so is who is to be on it
	}
	_, there := b.clusters[cluster]
	return there || byAPI
}

// rolling is the release that is being rolled out; nil for none.
func (v *View) rolling() *base {
	if r := v.rollout(); r != nil {
		return v.bases[r.Release.key()]
	}
	return nil
}

func (v *View) stayBase(r *ClusterRecord) *base {
	if r == nil || r.Stays == nil {
		return nil
	}
	return v.bases[r.Stays.Release.key()]
}

// is tells whether a member stands for the same as another, so that what was
// rendered for it still holds.
func (m *Member) is(other *Member) bool {
	return m.State == other.State && m.base == other.base && m.tombstone == other.tombstone &&
		(m.lost == nil) == (other.lost == nil) && m.Cluster.Equal(other.Cluster)
}

// seatAll makes the members all that the release and the state add up to. Who is
// in one of the other views as he is now, with the same deltas, keeps what was rendered for him there.
func (v *View) seatAll(others ...*View) (unrendered []int) {
	names := slices.Clone(v.base.names)
	if b := v.rolling(); b != nil {
		names = append(names, b.names...)
	}
	names = slices.AppendSeq(names, maps.Keys(v.records))
	slices.Sort(names)
	names = slices.Compact(names)
	members := make([]*Member, 0, len(names))
	unrendered = make([]int, 0, len(names))
	walks := walksOf(others)
	for _, name := range names {
		m := v.seat(name)
		if m == nil {
			continue
		}
		for i := range walks {
			walks[i].to(name)
		}
		if old := v.sameIn(walks, m); old != nil {
			m = old
		} else {
			for _, w := range walks {
				m.take(w.at)
			}
			unrendered = append(unrendered, len(members))
		}
		members = append(members, m)
	}
	v.members, v.byName = rosterOf(members), placesAmong(members, others)
	return unrendered
}

// sameIn is the member as it was rendered in one of several views; nil for none.
func (v *View) sameIn(others []walk, m *Member) *Member {
	for _, other := range others {
		if old := other.at; old != nil && old.is(m) && (old.Counts != nil || old.lost != nil) &&
			slices.Equal(other.deltas.of(m.Cluster), v.deltas.of(m.Cluster)) {
			return old
		}
	}
	return nil
}

// walk goes through the members of a view by their names, in order.
type walk struct {
	deltas deltaSet
	rest   []*Member
	at     *Member // nil where there is none of the name
}

func walksOf(views []*View) []walk {
	var walks []walk
	for _, v := range views {
		if v != nil {
			walks = append(walks, walk{deltas: v.deltas, rest: v.members.list()})
		}
	}
	return walks
}

// to goes to a name, which none before was greater than.
func (w *walk) to(name string) {
	for len(w.rest) > 0 && w.rest[0].Cluster.Name < name {
		w.rest = w.rest[1:]
	}
	if w.at = nil; len(w.rest) > 0 && w.rest[0].Cluster.Name == name {
		w.at = w.rest[0]
	}
}

// reseat does so for a few clusters.
func (v *View) reseat(names []string) {
	members := v.members.list()
	for _, name := range names {
		at, there := slices.BinarySearchFunc(members, name, func(m *Member, name string) int { return cmp.Compare(m.Cluster.Name, name) })
		m := v.seat(name)
		switch {
		case there && m == nil:
			members = slices.Delete(members, at, at+1)
		case there && members[at].is(m):
		case there:
			m.take(members[at])
			members[at] = m
		case m != nil:
			members = slices.Insert(members, at, m)
		}
	}
	v.members, v.byName = rosterOf(members), placesOf(members)
}

// take lets a member begin with what the cluster was served.
func (m *Member) take(old *Member) {
	if old != nil && m.bodies == nil {
		m.bodies, m.rendering, m.counts = old.bodies, old.rendering, old.counts
	}
}

// named is the member of that name; nil for none, or where there is no view.
func (v *View) named(name string) *Member {
	if v == nil {
		return nil
	}
	if at, there := v.placeOf(name); there {
		return v.members.at(at)
	}
	return nil
}

// placeOf is the place of the member of that name, not of that dns.
func (v *View) placeOf(name string) (at int, there bool) {
	at, there = v.byName[name]
	return at, there && v.members.at(at).Cluster.Name == name
}

// placesAmong are those of another view, where its members have the same names.
func placesAmong(members []*Member, others []*View) map[string]int {
	named := func(a, b *Member) bool {
		return a.Cluster.Name == b.Cluster.Name && a.Cluster.DNS == b.Cluster.DNS && a.rank() == b.rank()
	}
	for _, other := range others {
		if other != nil && slices.EqualFunc(members, other.members.list(), named) {
			return other.byName
		}
	}
	return placesOf(members)
}

// placesOf finds members by name and by dns. Of several that have one dns it is the
// one whose file says so, then the one that the API declares; one who is not active
// any more has left it to the next.
func placesOf(members []*Member) map[string]int {
	places := make(map[string]int, 2*len(members))
	for i, m := range members {
		places[m.Cluster.Name] = i
	}
	for rank := range 3 {
		for i, m := range members {
			if dns := m.Cluster.DNS; dns != "" && m.rank() == rank {
				if _, taken := places[dns]; !taken {
					places[dns] = i
				}
			}
		}
	}
	return places
}

// rank says whose a dns is first.
func (m *Member) rank() int {
	switch {
	case m.State != Active:
		return 2
	case m.Cluster.File == "":
		return 1
	}
	return 0
}

// clashes are the clusters that the API declares with a dns that is another's. That
// is a fault of those that are being declared, and of the rest a warning: whoever
// may register a cluster must not be able to keep a release from going live.
func (v *View) clashes(declaring map[string]bool) Problems {
	var problems Problems
	for i, m := range v.members.all() {
		dns := m.Cluster.DNS
		if dns == "" || m.rank() != 1 || v.byName[dns] == i {
			continue
		}
		first := v.members.at(v.byName[dns])
		problems = append(problems, Problem{
			Cluster: m.Cluster.Name, Field: "dns", Warning: !declaring[m.Cluster.Name] && !declaring[first.Cluster.Name],
			Message: fmt.Sprintf("%q is that of cluster %q; by this dns that one is found", dns, first.Cluster.Name),
		})
	}
	return problems
}
