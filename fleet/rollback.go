package fleet

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Rollback says what is put back as it was.
type Rollback struct {
	// Generation is when it was.
	Generation int64
	// Delta is the ID of the one delta that is put back, with what the API declares
	// of its cluster where it is a cluster's own; empty for all.
	Delta string
}

// Rollback puts deltas and what the API declares of clusters back as they were at
// a generation, as a new change. Deltas that have expired since are not put back.
// Releases, tokens, tombstones and which clusters there are stay as they are.
func (f *Fleet) Rollback(ctx context.Context, w Write, r Rollback) (*Result, error) {
	return f.write(ctx, w, RolledBack, func(v *View) (plan, error) {
		then, err := f.stateAt(ctx, r.Generation)
		if err != nil {
			return plan{}, err
		}
		p := plan{strict: true}
		if err := p.restoreDeltas(v, then, r, f.cfg.Now()); err != nil {
			return plan{}, err
		}
		p.restoreDeclarations(v, then, r)
		return p, nil
	})
}

func (f *Fleet) stateAt(ctx context.Context, generation int64) (state, error) {
	if f.cfg.Store == nil {
		return state{}, fmt.Errorf("generation %d: %w: nothing is kept", generation, ErrNotFound)
	}
	var log *LogState
	err := ask(ctx, func(ctx context.Context) (err error) {
		log, err = f.cfg.Store.StateAt(ctx, generation)
		return err
	})
	if err != nil {
		return state{}, err
	}
	return stateOf(log), nil
}

func (p *plan) restoreDeltas(v *View, then state, r Rollback, now time.Time) error {
	ids := maps.Collect(then.deltas.byID.each())
	maps.Insert(ids, v.deltas.byID.each())
	if r.Delta != "" && ids[r.Delta] == nil && !v.declares(r.Delta) {
		return fmt.Errorf("%s: %w, now or at generation %d", describe(r.Delta), ErrNotFound, r.Generation)
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if r.Delta != "" && r.Delta != id {
			continue
		}
		c := DeltaChange{Delta: id, Before: v.deltas.byID.get(id), After: then.deltas.byID.get(id)}
		if c.After != nil && c.After.expired(now) {
			p.warnings = append(p.warnings, fmt.Sprintf("%s expired at %s, and is not put back", id, c.After.ExpiresAt.Format(time.RFC3339)))
			c.After = nil
		}
		if v.gone(c.After) || v.youngerThan(r.Generation, c.After) {
			p.warnings = append(p.warnings, fmt.Sprintf("%s is not put back: the cluster is decommissioned or gone, or another has its name", id))
			c.After = nil
		}
		p.changes = append(p.changes, c)
	}
	return nil
}

// gone tells whether a delta is the own one of a cluster that nothing can be made
// different of.
func (v *View) gone(d *Delta) bool {
	if d == nil || d.Cluster == "" {
		return false
	}
	m := v.named(d.Cluster)
	return m == nil || m.State == DecommissionedState
}

// youngerThan tells whether the cluster whose own delta it is came after a
// generation, and so is another than had the name then.
func (v *View) youngerThan(generation int64, d *Delta) bool {
	if d == nil || d.Cluster == "" {
		return false
	}
	r := v.records[d.Cluster]
	return r != nil && r.Since > generation
}

// declares tells whether the API declares the cluster whose own delta has that ID.
func (v *View) declares(id string) bool {
	for name, r := range v.records {
		if OwnID(name) == id {
			return r.Declared != nil
		}
	}
	return false
}

// restoreDeclarations puts back what the API declared of clusters that it declared
// then and declares now.
func (p *plan) restoreDeclarations(v *View, then state, r Rollback) {
	for _, name := range slices.Sorted(maps.Keys(v.records)) {
		now, was := v.records[name], then.records[name]
		if r.Delta != "" && r.Delta != OwnID(name) || now.Declared == nil || now.Decommissioned != nil ||
			was == nil || was.Declared == nil || was.Since != now.Since || reflect.DeepEqual(now.Declared, was.Declared) {
			continue
		}
		after := *now
		after.Declared = was.Declared
		p.records = append(p.records, RecordChange{Cluster: name, Before: now, After: &after})
	}
}
