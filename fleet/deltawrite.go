package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Deltas are those in force, sorted by ID.
func (v *View) Deltas() []*Delta { return v.deltas.list() }

// Delta returns a delta by its ID, or an ErrNotFound.
func (v *View) Delta(id string) (*Delta, error) {
	d := v.deltas.byID.get(id)
	if d == nil {
		return nil, fmt.Errorf("%s: %w", describe(id), ErrNotFound)
	}
	return d, nil
}

// describe says which delta it is in words.
func describe(id string) string {
	if name, named := strings.CutPrefix(id, DeltaID("")); named {
		return fmt.Sprintf("delta %q", name)
	}
	return fmt.Sprintf("own delta of cluster %q", strings.TrimPrefix(id, OwnID("")))
}

// ReadDelta reads the document of the delta of an ID, which need not say what it
// is called itself. What is wrong with it is Problems.
func (f *Fleet) ReadDelta(id string, document []byte) (*Delta, error) {
	d, err := f.cfg.Renderer.ReadDelta(document)
	if err != nil {
		return nil, err
	}
	of := Delta{}
	if name, named := strings.CutPrefix(id, DeltaID("")); named {
		of.Name = name
	} else {
		of.Cluster = strings.TrimPrefix(id, OwnID(""))
	}
	var problems Problems
	if d.Name != "" && d.Name != of.Name {
		problems = append(problems, Problem{Field: "name", Message: fmt.Sprintf("is %q, and the path is of %s; let them be the same, or leave it out", d.Name, id)})
	}
	if d.Cluster != "" && d.Cluster != of.Cluster {
		problems = append(problems, Problem{Field: "cluster", Message: fmt.Sprintf("is %q, and the path is of %s; let them be the same, or leave it out", d.Cluster, id)})
	}
	d.Name, d.Cluster = of.Name, of.Cluster
	problems = append(problems, d.checkScope()...)
	if len(problems) > 0 {
		return nil, problems
	}
	return d, nil
}

// checkScope says what is wrong with which clusters a delta is for.
func (d *Delta) checkScope() Problems {
	scoped := d.Selector != nil || d.Clusters != nil
	switch {
	case d.Cluster != "" && (scoped || d.Priority != 0):
		return Problems{{Field: "selector", Message: "a cluster's own delta is for that cluster and comes last; leave out selector, clusters and priority"}}
	case d.Cluster == "" && !scoped:
		return Problems{{Field: "selector", Message: "say which clusters the delta is for, with selector or clusters; {} selects all"}}
	case d.Selector != nil && d.Clusters != nil:
		return Problems{{Field: "clusters", Message: "name the clusters or select them, not both"}}
	case d.Name != "" && len(validation.IsDNS1123Label(d.Name)) > 0:
		return Problems{{Field: "name", Message: fmt.Sprintf("%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", d.Name)}}
	}
	return nil
}

// PutDelta puts a delta, named or a cluster's own, in the place of the one of its
// ID. All of it must apply to each cluster that it is for. It takes over d.
func (f *Fleet) PutDelta(ctx context.Context, w Write, d *Delta) (*Result, error) {
	return f.write(ctx, w, Written, func(v *View) (plan, error) {
		if d.Cluster != "" {
			if m, err := v.Member(d.Cluster); err != nil {
				return plan{}, err
			} else if m.State == DecommissionedState {
				return plan{}, decommissioned(m)
			}
		}
		p, err := f.replace(v, w, d.ID(), d)
		switch {
		case err != nil:
			return plan{}, err
		case d.expired(f.cfg.Now()):
			return plan{}, Problems{{Field: "expiresAt", Message: "is over already; name a time to come"}}
		case d.isEmpty():
			return plan{}, Problems{{Message: "holds nothing that changes a cluster; give it components, resources, patches or edits, or drop the delta with DELETE"}}
		}
		return p, nil
	})
}

// DeleteDelta drops the delta of that ID; without one it is an ErrNotFound.
func (f *Fleet) DeleteDelta(ctx context.Context, w Write, id string) (*Result, error) {
	return f.write(ctx, w, Written, func(v *View) (plan, error) {
		if _, err := v.Delta(id); err != nil {
			return plan{}, err
		}
		return f.replace(v, w, id, nil)
	})
}

func (f *Fleet) replace(v *View, w Write, id string, d *Delta) (plan, error) {
	before := v.deltas.byID.get(id)
	if err := w.expect(before, before == nil); err != nil {
		return plan{}, err
	}
	return plan{changes: []DeltaChange{{Delta: id, Before: before, After: d}}, strict: true}, nil
}

func (w Write) expect(present any, none bool) error {
	switch {
	case w.Expect == nil:
		return nil
	case none:
		return w.Expect(nil)
	}
	return w.Expect(present)
}

// History returns entries of the change log, newest first.
func (f *Fleet) History(ctx context.Context, q ChangeQuery) ([]Change, error) {
	if f.cfg.Store == nil {
		return nil, nil
	}
	var found []Change
	err := ask(ctx, func(ctx context.Context) (err error) {
		found, err = f.cfg.Store.Changes(ctx, q)
		return err
	})
	return found, err
}

// DeltaUsage says what became of a delta.
type DeltaUsage struct {
	// Clusters is how many it is for.
	Clusters int
	// Orphaned are the members that go without parts of it.
	Orphaned []*Member
}

// DeltaUsage tells of each delta, by ID.
func (v *View) DeltaUsage() map[string]DeltaUsage {
	all := map[string]DeltaUsage{}
	for _, m := range v.members.all() {
		for _, d := range v.deltas.of(m.Cluster) {
			u := all[d.ID()]
			u.Clusters++
			if slices.ContainsFunc(m.Orphans, func(o Orphan) bool { return o.Delta == d.ID() }) {
				u.Orphaned = append(u.Orphaned, m)
			}
			all[d.ID()] = u
		}
	}
	return all
}
