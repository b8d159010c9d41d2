package fleet

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Declare declares a cluster through the API. It is an ErrConflict where the API
// or the fleet repo declares it already, where it is decommissioned, and where
// another cluster has its dns. An orphaned one follows the live release again, as
// it is declared now.
func (f *Fleet) Declare(ctx context.Context, w Write, c Cluster) (*Result, error) {
	return f.write(ctx, w, Written, func(v *View) (plan, error) {
		if err := v.mayDeclare(c); err != nil {
			return plan{}, err
		}
		p := plan{}
		before := v.records[c.Name]
		p.records = []RecordChange{recordChange(before, &ClusterRecord{Cluster: c.Name, Declared: c.declaration()})}
		return p, nil
	})
}

// mayDeclare returns why a cluster cannot be declared.
func (v *View) mayDeclare(c Cluster) error {
	m := v.named(c.Name)
	switch {
	case m == nil:
	case m.State == DecommissionedState:
		return decommissioned(m)
	case m.State == OrphanedState:
	case m.Cluster.File != "":
		return fmt.Errorf("cluster %q: %w: %s declares it; change that file", c.Name, ErrConflict, m.Cluster.File)
	default:
		return fmt.Errorf("cluster %q: %w: it is declared already; change it with PATCH", c.Name, ErrConflict)
	}
	return v.dnsIsFree(c.Name, c.DNS)
}

// dnsIsFree returns whose a dns is already, be it decommissioned or orphaned.
func (v *View) dnsIsFree(name, dns string) error {
	if dns == "" {
		return nil
	}
	if other, err := v.Member(dns); err == nil && other.Cluster.Name != name {
		return fmt.Errorf("dns %q: %w: it is that of cluster %q", dns, ErrConflict, other.Cluster.Name)
	}
	return nil
}

func decommissioned(m *Member) error {
	return fmt.Errorf("cluster %q: %w: it is decommissioned; purge it first if it is to come back", m.Cluster.Name, ErrConflict)
}

// Redeclare changes what the API declares of a cluster. Change is given it as it
// is; what it returns keeps the name.
func (f *Fleet) Redeclare(ctx context.Context, w Write, cluster string, change func(now Cluster) (Cluster, error)) (*Result, error) {
	return f.write(ctx, w, Written, func(v *View) (plan, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return plan{}, err
		}
		name := m.Cluster.Name
		record := v.records[name]
		switch {
		case m.State == DecommissionedState:
			return plan{}, decommissioned(m)
		case m.State == OrphanedState:
			return plan{}, fmt.Errorf("cluster %q: %w: its file has vanished, and it is frozen; declare it through the API (POST /api/v1/clusters), bring its file back, or decommission it", name, ErrConflict)
		case m.Cluster.File != "":
			return plan{}, fmt.Errorf("cluster %q: %w: %s declares it; change that file", name, ErrConflict, m.Cluster.File)
		}
		if err := w.expect(Present{v, m}, false); err != nil {
			return plan{}, err
		}
		c, err := change(record.Declared.cluster(name))
		if err != nil {
			return plan{}, err
		}
		if err := v.dnsIsFree(name, c.DNS); err != nil {
			return plan{}, err
		}
		after := *record
		after.Declared = c.declaration()
		if string(encode(record)) == string(encode(&after)) {
			return plan{}, nil
		}
		return plan{records: []RecordChange{recordChange(record, &after)}}, nil
	})
}

// Decommission has a cluster answered empty sets from now on, whatever the fleet
// repo says, until it is purged.
func (f *Fleet) Decommission(ctx context.Context, w Write, cluster string) (*Result, error) {
	return f.write(ctx, w, Decommissioned, func(v *View) (plan, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return plan{}, err
		}
		if m.State == DecommissionedState {
			return plan{}, nil
		}
		if err := w.expect(Present{v, m}, false); err != nil {
			return plan{}, err
		}
		name := m.Cluster.Name
		before := v.records[name]
		after := ClusterRecord{Cluster: name}
		if before != nil {
			after.Declared = before.Declared
		}
		after.Decommissioned = &Tombstone{
			Generation: v.generation + 1, At: f.now(), DNS: m.Cluster.DNS, Labels: m.Cluster.Labels,
			Sets: slices.Sorted(maps.Keys(m.bodies)),
		}
		return plan{records: []RecordChange{recordChange(before, &after)}}, nil
	})
}

// Purge forgets a decommissioned cluster, with its own delta and its tokens. From
// then on it is unknown. It is an ErrConflict while the fleet repo declares it.
func (f *Fleet) Purge(ctx context.Context, w Write, cluster string) (*Result, error) {
	return f.write(ctx, w, Purged, func(v *View) (plan, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return plan{}, err
		}
		name := m.Cluster.Name
		if m.State != DecommissionedState {
			return plan{}, fmt.Errorf("cluster %q: %w: decommission it first, so that what it has is deleted", name, ErrConflict)
		}
		if c, there := v.base.clusters[name]; there {
			return plan{}, fmt.Errorf("cluster %q: %w: %s declares it, and it would come back; take that file away first", name, ErrConflict, c.File)
		}
		if err := w.expect(Present{v, m}, false); err != nil {
			return plan{}, err
		}
		p := plan{records: []RecordChange{recordChange(v.records[name], nil)}}
		if own := v.deltas.byID[OwnID(name)]; own != nil {
			p.changes = []DeltaChange{{Delta: own.ID(), Before: own}}
		}
		p.tokens = f.Tokens().endAll(name, f.now())
		return p, nil
	})
}

// endAll are the changes that end every token of a cluster.
func (s *TokenSet) endAll(cluster string, now time.Time) []TokenChange {
	var ended []TokenChange
	for _, t := range s.List() {
		if t.Cluster == cluster && t.RevokedAt == nil {
			ended = append(ended, t.revoked(now))
		}
	}
	slices.SortFunc(ended, func(a, b TokenChange) int { return cmp.Compare(a.Token, b.Token) })
	return ended
}
