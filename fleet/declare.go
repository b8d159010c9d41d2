package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// Declare declares a cluster through the API, as a document says, YAML or JSON, and
// returns its name. What is wrong with the document is Problems. It is an ErrConflict where the API
// or the fleet repo declares it already, where it is decommissioned, and where
// another cluster has its dns. An orphaned one follows the live release again, as
// it is declared now.
func (f *Fleet) Declare(ctx context.Context, w Write, document []byte) (string, *Result, error) {
	name, d, err := f.cfg.Renderer.ReadDeclaration(document)
	if err != nil {
		return "", nil, err
	}
	result, err := f.write(ctx, w, Written, func(v *View) (plan, error) {
		if err := v.mayDeclare(name, d.DNS); err != nil {
			return plan{}, err
		}
		return plan{records: []RecordChange{recordChange(v.records[name], &ClusterRecord{Cluster: name, Since: v.generation + 1, Declared: d})}}, nil
	})
	return name, result, err
}

// mayDeclare returns why a cluster cannot be declared.
func (v *View) mayDeclare(name, dns string) error {
	m := v.named(name)
	switch {
	case m == nil:
	case m.State == DecommissionedState:
		return decommissioned(m)
	case m.State == OrphanedState:
	case m.Cluster.File != "":
		return fmt.Errorf("cluster %q: %w: %s declares it; change that file", name, ErrConflict, m.Cluster.File)
	case v.Declared(m) == nil:
		return inRepo(name)
	default:
		return fmt.Errorf("cluster %q: %w: it is declared already; change it with PATCH", name, ErrConflict)
	}
	return v.dnsIsFree(name, dns)
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

// inRepo is for a cluster whose file cannot be read: it is there all the same.
func inRepo(name string) error {
	return fmt.Errorf("cluster %q: %w: the fleet repo declares it, in a file that has a fault; mend that file", name, ErrConflict)
}

func decommissioned(m *Member) error {
	return fmt.Errorf("cluster %q: %w: it is decommissioned; purge it first if it is to come back", m.Cluster.Name, ErrConflict)
}

// Redeclare changes what the API declares of a cluster by a merge patch (RFC 7386)
// of it.
func (f *Fleet) Redeclare(ctx context.Context, w Write, cluster string, patch []byte) (*Result, error) {
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
			return plan{}, fmt.Errorf("cluster %q: %w: its file has vanished from the fleet repo: declare it through the API, restore its file, or decommission it", name, ErrConflict)
		case m.Cluster.File != "":
			return plan{}, fmt.Errorf("cluster %q: %w: %s declares it; change that file", name, ErrConflict, m.Cluster.File)
		}
		if record == nil || record.Declared == nil {
			return plan{}, inRepo(name)
		}
		if err := w.expect(Present{v, m}, false); err != nil {
			return plan{}, err
		}
		after := *record
		if after.Declared, err = f.patched(name, record.Declared, patch); err != nil {
			return plan{}, err
		}
		if err := v.dnsIsFree(name, after.Declared.DNS); err != nil {
			return plan{}, err
		}
		if string(encode(record)) == string(encode(&after)) {
			return plan{}, nil
		}
		return plan{records: []RecordChange{recordChange(record, &after)}}, nil
	})
}

// patched is a declaration after a merge patch, read as one that was just written.
func (f *Fleet) patched(name string, d *Declaration, patch []byte) (*Declaration, error) {
	document, err := jsonpatch.MergePatch(encode(d), patch)
	if err != nil {
		return nil, fmt.Errorf("merge patch: %w: %w", ErrInvalid, err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(document, &fields); err != nil {
		return nil, fmt.Errorf("merge patch: %w: it must be an object", ErrInvalid)
	}
	if named, there := fields["name"]; there && string(named) != string(encode(name)) {
		return nil, Problems{{Field: "name", Message: fmt.Sprintf("is that of another cluster than %q; a cluster keeps its name", name)}}
	}
	fields["name"] = encode(name)
	_, changed, err := f.cfg.Renderer.ReadDeclaration(encode(fields))
	return changed, err
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
			after.Declared, after.Since = before.Declared, before.Since
		}
		after.Decommissioned = &Tombstone{
			Generation: v.generation + 1, At: f.now(), DNS: m.Cluster.DNS, Labels: m.Cluster.Labels,
			Sets: m.everServed(),
		}
		return plan{records: []RecordChange{recordChange(before, &after)}}, nil
	})
}

// everServed are the sets that a member is served, or was by another version.
func (m *Member) everServed() []string {
	sets := slices.Collect(maps.Keys(m.bodies))
	if m.lost != nil {
		sets = append(sets, m.base.sets...)
	}
	slices.Sort(sets)
	return slices.Compact(sets)
}

// Purge forgets a decommissioned cluster, with its own delta, its tokens and its name
// in the deltas of others. From then on it is unknown, and what gets its name is
// another one. It is an ErrConflict while the fleet repo declares it.
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
		for _, b := range []*base{v.base, v.rolling()} {
			if b == nil {
				continue
			}
			if c, there := b.clusters[name]; there {
				return plan{}, fmt.Errorf("cluster %q: %w: %s declares it, and it would come back; take that file away first", name, ErrConflict, c.File)
			}
			if fault, there := b.repo.Broken()[name]; there {
				return plan{}, fmt.Errorf("cluster %q: %w: %s declares it, with a fault, and it would come back; take that file away first", name, ErrConflict, fault.File)
			}
		}
		if err := w.expect(Present{v, m}, false); err != nil {
			return plan{}, err
		}
		p := plan{records: []RecordChange{recordChange(v.records[name], nil)}}
		p.warnings = f.unemptied(ctx, m)
		p.changes, p.pins = v.deltas.without(name), v.pins.without(name)
		p.tokens = f.Tokens().endAll(name, f.now())
		return p, nil
	})
}

// unemptied warns of sets that a decommissioned cluster has not polled since: what
// they made stays where it is, and no poll of it will be answered any more.
func (f *Fleet) unemptied(ctx context.Context, m *Member) (warnings []string) {
	for _, p := range f.Polls(ctx, m.Cluster.Name)[m.Cluster.Name] {
		if _, served := m.bodies[p.Set]; served && p.Generation < m.tombstone.Generation {
			warnings = append(warnings, fmt.Sprintf("cluster %q has polled set %q, but not since it was decommissioned: what that made is left in the cluster", m.Cluster.Name, p.Set))
		}
	}
	return warnings
}
