package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/edit"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// ReadDelta reads the document of the delta of an ID, which need not name itself. What is wrong with
// the document is Problems.
func (c *Controller) ReadDelta(id string, document []byte) (*fleet.Delta, error) {
	d, err := c.cfg.Renderer.ReadDelta(document)
	if err != nil {
		return nil, err
	}
	of := fleet.Delta{}
	if name, named := strings.CutPrefix(id, fleet.DeltaID("")); named {
		of.Name = name
	} else {
		of.Cluster = strings.TrimPrefix(id, fleet.OwnID(""))
	}
	var problems fleet.Problems
	if d.Name != "" && d.Name != of.Name {
		problems = append(problems, fleet.Problem{Field: "name", Message: fmt.Sprintf("is %q, but the request is about %s; let them be the same, or leave it out", d.Name, id)})
	}
	if d.Cluster != "" && d.Cluster != of.Cluster {
		problems = append(problems, fleet.Problem{Field: "cluster", Message: fmt.Sprintf("is %q, but the request is about %s; let them be the same, or leave it out", d.Cluster, id)})
	}
	d.Name, d.Cluster = of.Name, of.Cluster
	if problems = append(problems, d.CheckScope()...); len(problems) > 0 {
		return nil, problems
	}
	return d, nil
}

// PutDelta writes a delta. One of the same ID is replaced.
func (c *Controller) PutDelta(ctx context.Context, o WriteOptions, d *fleet.Delta) (*fleet.Result, error) {
	if problems := d.CheckScope(); len(problems) > 0 {
		return nil, problems
	}
	return c.write(ctx, o, fleet.Written, func(v *view.View) (*mutation, error) {
		if d.Cluster != "" {
			if m, err := v.Member(d.Cluster); err != nil {
				return nil, err
			} else if m.State == fleet.ClusterDecommissioned {
				return nil, errDecommissioned(m)
			}
		}
		m, err := replaceDelta(v, o, d.ID(), d)
		switch {
		case err != nil:
			return nil, err
		case d.Expired(c.cfg.Now()):
			return nil, fleet.Problems{{Field: "expiresAt", Message: "is in the past; give a time to come"}}
		case d.IsEmpty():
			return nil, fleet.Problems{{Message: "changes nothing; give it components, resources, patches or edits, or delete the delta"}}
		}
		return m, nil
	})
}

// DeleteDelta drops the delta of an ID, or returns an ErrNotFound.
func (c *Controller) DeleteDelta(ctx context.Context, o WriteOptions, id string) (*fleet.Result, error) {
	return c.write(ctx, o, fleet.Written, func(v *view.View) (*mutation, error) {
		if _, err := v.Delta(id); err != nil {
			return nil, err
		}
		return replaceDelta(v, o, id, nil)
	})
}

func replaceDelta(v *view.View, o WriteOptions, id string, d *fleet.Delta) (*mutation, error) {
	before := v.State().Deltas.Get(id)
	if err := o.check(Version(before)); err != nil {
		return nil, err
	}
	return &mutation{deltas: []fleet.DeltaChange{{Delta: id, Before: before, After: d}}, strict: true}, nil
}

// PatchObject changes an object for one cluster, by name or dns. The change is folded into the
// cluster's own delta, as an edit.
func (c *Controller) PatchObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName, p fleet.ObjectPatch) (*fleet.Result, error) {
	return c.writeObject(ctx, o, cluster, name, func(t *edit.Target) (*fleet.Delta, error) {
		object, err := t.Find(name)
		if err != nil {
			return nil, err
		}
		if err := o.check(Version(json.RawMessage(object.JSON))); err != nil {
			return nil, err
		}
		return t.Patch(object, p)
	})
}

// PutObject adds an object for one cluster, or replaces one that was added so. It is an ErrConflict
// where the object is there already for another reason.
func (c *Controller) PutObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName, document []byte) (*fleet.Result, error) {
	return c.writeObject(ctx, o, cluster, name, func(t *edit.Target) (*fleet.Delta, error) {
		added, err := c.cfg.Renderer.ReadObject(document)
		if err != nil {
			return nil, err
		}
		object := fleet.ObjectOf(added)
		if object.Kind != name.Kind || object.Name != name.Name {
			return nil, fleet.Problems{{Field: "kind", Message: fmt.Sprintf("is %s/%s, but the request is about %s/%s; let them be the same", object.Kind, object.Name, name.Kind, name.Name)}}
		}
		there, err := t.FindReplaced(object)
		if err != nil {
			return nil, err
		}
		version := ""
		if there != nil {
			version = Version(json.RawMessage(there.JSON))
		}
		if err := o.check(version); err != nil {
			return nil, err
		}
		return t.Put(object)
	})
}

// DeleteObject removes an object from one cluster.
func (c *Controller) DeleteObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName) (*fleet.Result, error) {
	return c.writeObject(ctx, o, cluster, name, func(t *edit.Target) (*fleet.Delta, error) {
		object, err := t.Find(name)
		if err != nil {
			return nil, err
		}
		if err := o.check(Version(json.RawMessage(object.JSON))); err != nil {
			return nil, err
		}
		return t.Delete(object)
	})
}

// writeObject changes one object of one cluster. The cluster is rendered once to read it, and once to
// check the change; not again where other changes come before that are about other clusters.
func (c *Controller) writeObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName, change func(t *edit.Target) (*fleet.Delta, error)) (*fleet.Result, error) {
	var last *mutation
	var member *view.Member // that it is of
	var known []*fleet.Delta
	return c.write(ctx, o, fleet.Written, func(v *view.View) (*mutation, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return nil, err
		}
		if m.State == fleet.ClusterDecommissioned {
			return nil, errDecommissioned(m)
		}
		deltas := v.State().Deltas.For(m.Cluster)
		if m == member && slices.Equal(deltas, known) {
			return last, nil // Another change came before, which is not about the cluster.
		}
		id := fleet.OwnID(m.Cluster.Name)
		t := &edit.Target{Cluster: m.Cluster.Name, Own: v.State().Deltas.Get(id), Stale: m.Stale}
		t.Render = func(own *fleet.Delta, wanted func(fleet.Object) bool) ([]fleet.Object, error) {
			others := deltas
			if t.Own != nil {
				others = deltas[:len(deltas)-1] // the cluster's own delta comes last
			}
			return m.Objects(ctx, append(slices.Clone(others), own), wanted)
		}
		if t.Objects, err = m.Objects(ctx, deltas, fleet.ObjectName{Kind: name.Kind, Name: name.Name}.Matches); err != nil {
			return nil, err
		}
		t.StrategicMerge = m.Repo().StrategicMerge
		after, err := change(t)
		if err != nil {
			return nil, err
		}
		if after != nil {
			// What is kept is read like a document, so that it reads the same wherever it is exported to.
			if after, err = c.cfg.Renderer.ReadDelta(fleet.EncodeJSON(after)); err != nil {
				return nil, err
			}
		}
		out := &mutation{deltas: []fleet.DeltaChange{{Delta: id, Before: t.Own, After: after}}}
		if after != nil && after.ExpiresAt != nil {
			out.warnings = append(out.warnings, fmt.Sprintf("the cluster's own delta expires at %s, and this change with it", after.ExpiresAt.Format(time.RFC3339)))
		}
		last, member, known = out, m, deltas
		return out, nil
	})
}

// rollbackHistory is how many of the changes since are looked at for what a rollback does not undo.
const rollbackHistory = 1000

// Rollback says what is restored.
type Rollback struct {
	// Generation is the generation as of which it is restored.
	Generation int64
	// Delta is the ID of the one delta that is restored, with what the API declares of its cluster
	// where it is a cluster's own; empty for all.
	Delta string
}

// Rollback restores deltas and declarations as they were at a generation, as a new change. Deltas that
// have expired since are not restored. Releases, tokens, tombstones and which clusters there are stay
// as they are; warnings say which of them changed since. It is an ErrConflict where nothing would be
// restored because of that.
func (c *Controller) Rollback(ctx context.Context, o WriteOptions, r Rollback) (*fleet.Result, error) {
	return c.write(ctx, o, fleet.RolledBack, func(v *view.View) (*mutation, error) {
		then, err := c.stateAt(ctx, r.Generation)
		if err != nil {
			return nil, err
		}
		restored, err := edit.Restore(v.State(), then, r.Generation, r.Delta, c.cfg.Now(), func(cluster string) bool {
			m := v.Named(cluster)
			return m != nil && m.State != fleet.ClusterDecommissioned
		})
		if err != nil {
			return nil, err
		}
		since, err := c.History(ctx, fleet.ChangeQuery{After: r.Generation, Limit: rollbackHistory})
		if err != nil {
			return nil, err
		}
		m := &mutation{deltas: slices.DeleteFunc(restored.Deltas, isNoChange), records: restored.Records, strict: true}
		m.warnings = append(restored.Warnings, edit.NotRestored(since, r.Delta)...)
		if m.isEmpty() && len(m.warnings) > 0 {
			return nil, fmt.Errorf("generation %d: %w: nothing can be restored: %s", r.Generation, fleet.ErrConflict, strings.Join(m.warnings, "; "))
		}
		return m, nil
	})
}

func (c *Controller) stateAt(ctx context.Context, generation int64) (*fleet.State, error) {
	if c.cfg.Store == nil {
		return nil, fmt.Errorf("generation %d: %w: nothing is stored", generation, fleet.ErrNotFound)
	}
	log, err := read(ctx, storeTimeout, c.cfg.Store.StateAt, generation)
	if err != nil {
		return nil, err
	}
	return fleet.NewState(log), nil
}

// withdrawExpired withdraws each delta and pin when its time has come, until ctx ends. Each is a change
// of its own. One without which the rest could not be served, or that exceeds the guard, stays in force.
func (w *writer) withdrawExpired(ctx context.Context) {
	for {
		if v := w.served(); v != nil {
			w.withdraw(ctx, v)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.published: // there may be other deltas, or overdue ones can go now
		case <-time.After(w.untilExpiry()):
		}
	}
}

// untilExpiry returns how long it takes until the next delta or pin expires. It is a minute at most,
// since clocks may be set.
func (w *writer) untilExpiry() time.Duration {
	wait, now, s := time.Minute, w.cfg.Now(), w.state()
	next := func(at *time.Time) {
		if at != nil && now.Before(*at) {
			wait = min(wait, at.Sub(now))
		}
	}
	for _, p := range s.Pins.List() {
		next(p.ExpiresAt)
	}
	for _, d := range s.Deltas.Expiring() {
		next(d.ExpiresAt)
	}
	return wait
}

func (w *writer) withdraw(ctx context.Context, v *view.View) {
	overdue := map[string]string{}
	withdraw := func(id string, at *time.Time, mutate func(now *view.View) *mutation) {
		o := WriteOptions{Actor: fleet.OwnActor, Reason: "expired at " + at.UTC().Format(time.RFC3339)}
		_, err := w.write(ctx, o, fleet.Withdrawn, func(now *view.View) (*mutation, error) {
			m := mutate(now)
			m.holder = w.holder()
			return m, nil
		})
		if err != nil && ctx.Err() == nil {
			overdue[id] = err.Error()
		}
	}
	for _, p := range v.Pins() {
		if p.Expired(w.cfg.Now()) {
			withdraw("pin/"+p.Name, p.ExpiresAt, func(now *view.View) *mutation {
				if p := now.State().Pins.Get(p.Name); p != nil && p.Expired(w.cfg.Now()) {
					return &mutation{pins: []fleet.PinChange{{Pin: p.Name, Before: p}}}
				}
				return &mutation{}
			})
		}
	}
	for _, d := range v.State().Deltas.Expiring() {
		if id := d.ID(); d.Expired(w.cfg.Now()) {
			withdraw(id, d.ExpiresAt, func(now *view.View) *mutation {
				if d := now.State().Deltas.Get(id); d != nil && d.Expired(w.cfg.Now()) { // it may have got another time
					return &mutation{deltas: []fleet.DeltaChange{{Delta: id, Before: d}}}
				}
				return &mutation{}
			})
		}
	}
	if ctx.Err() != nil {
		return
	}
	for id, why := range w.status.setOverdue(overdue) {
		w.log.Error("what has expired stays in force", "of", id, "err", oneLine(errors.New(why)))
	}
	w.metrics.SetOverdue(len(overdue))
}
