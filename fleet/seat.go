package fleet

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// ClusterState is what became of a cluster.
type ClusterState string

const (
	// Active is a cluster that follows the live release.
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
	declared, inRepo := v.base.clusters[name]
	m := &Member{State: Active, base: v.base, marks: v.marks.of(name)}
	switch {
	case record != nil && record.Decommissioned != nil:
		t := record.Decommissioned
		m.State, m.Cluster, m.tombstone = DecommissionedState, Cluster{Name: name, DNS: t.DNS, Labels: t.Labels}, t
	case inRepo:
		m.Cluster = declared
	case record == nil:
		return nil
	case record.Orphaned != nil:
		o := record.Orphaned
		m.State, m.base = OrphanedState, v.frozen[o.WentLive]
		if m.base != nil {
			m.Cluster, inRepo = m.base.clusters[name]
		}
		if !inRepo {
			m.base, m.lost = v.base, fmt.Errorf("cluster %q: %w: it is orphaned, and its release of %s %w", name, ErrNotReady, o.Release.Revision, errLost)
			m.Cluster = Cluster{Name: name, DNS: o.DNS, Labels: o.Labels}
		}
	case record.Declared != nil:
		m.Cluster = record.Declared.cluster(name)
	default:
		return nil
	}
	return m
}

// is tells whether a member stands for the same as another, so that what was
// rendered for it still holds.
func (m *Member) is(other *Member) bool {
	return m.State == other.State && m.base == other.base && m.tombstone == other.tombstone &&
		(m.lost == nil) == (other.lost == nil) && reflect.DeepEqual(m.Cluster, other.Cluster)
}

// seatAll makes the members all that the release and the records add up to. Who
// was there already, in this view before or in an earlier one, keeps what was
// rendered for him.
func (v *View) seatAll(earlier *View) (unrendered []int) {
	names := map[string]bool{}
	for name := range v.base.clusters {
		names[name] = true
	}
	for name := range v.records {
		names[name] = true
	}
	members := make([]*Member, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		m := v.seat(name)
		if m == nil {
			continue
		}
		if old := earlier.named(name); old != nil && old.is(m) {
			m = old
		} else {
			m.take(old)
			unrendered = append(unrendered, len(members))
		}
		members = append(members, m)
	}
	v.members, v.byName = members, placesOf(members)
	return unrendered
}

// reseat does so for a few clusters. The members must be the view's own slice.
func (v *View) reseat(names []string) {
	for _, name := range names {
		at, there := slices.BinarySearchFunc(v.members, name, byClusterName)
		m := v.seat(name)
		switch {
		case there && m == nil:
			v.members = slices.Delete(v.members, at, at+1)
		case there && v.members[at].is(m):
		case there:
			m.take(v.members[at])
			v.members[at] = m
		case m != nil:
			v.members = slices.Insert(v.members, at, m)
		}
	}
	v.byName = placesOf(v.members)
}

// take lets a member begin with what the cluster was served.
func (m *Member) take(old *Member) {
	if old != nil {
		m.bodies = old.bodies
	}
}

// named is the member of that name; nil for none, or where there is no view.
func (v *View) named(name string) *Member {
	if v == nil {
		return nil
	}
	if at, there := slices.BinarySearchFunc(v.members, name, byClusterName); there {
		return v.members[at]
	}
	return nil
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
	for i, m := range v.members {
		dns := m.Cluster.DNS
		if dns == "" || m.rank() != 1 || v.byName[dns] == i {
			continue
		}
		first := v.members[v.byName[dns]]
		problems = append(problems, Problem{
			Cluster: m.Cluster.Name, Field: "dns", Warning: !declaring[m.Cluster.Name] && !declaring[first.Cluster.Name],
			Message: fmt.Sprintf("%q is that of cluster %q; by this dns that one is found", dns, first.Cluster.Name),
		})
	}
	return problems
}
