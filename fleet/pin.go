package fleet

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Pin keeps clusters on one release, whatever goes live, until it is taken away or
// expires. Of several that are for a cluster the one that names it holds, then the
// first by name.
type Pin struct {
	// Name is a DNS-1123 label.
	Name string `json:"name"`
	// Clusters or Selector say which clusters, and not both. An empty selector is
	// for the whole fleet.
	Clusters []string  `json:"clusters,omitempty"`
	Selector *Selector `json:"selector,omitempty"`
	// Release is the ID of the release.
	Release string `json:"release"`
	// Revision is that of the release; it is told, and not asked for.
	Revision string `json:"revision,omitempty"`
	// Reason is kept in history.
	Reason string `json:"reason,omitempty"`
	// ExpiresAt is when the pin is withdrawn by itself; nil for never.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// Snapshot is the digest of the release's tree; it is told as well.
	Snapshot string `json:"snapshot,omitempty"`
}

// Pin keeps the clusters of a pin on its release; one of that name is replaced. What
// is wrong with it is Problems, and so is what is wrong with the release for one of the clusters.
func (f *Fleet) Pin(ctx context.Context, w Write, p Pin) (*Result, error) {
	if problems := p.check(f.cfg.Now()); len(problems) > 0 {
		return nil, problems
	}
	b, err := f.pinnable(ctx, &p)
	if err != nil {
		return nil, err
	}
	return f.write(ctx, w, Pinned, func(v *View) (plan, error) {
		before := v.pins.byName[p.Name]
		if err := w.expect(before, before == nil); err != nil {
			return plan{}, err
		}
		if reflect.DeepEqual(before, &p) {
			return plan{}, nil
		}
		after := p
		return plan{pins: []PinChange{{Pin: p.Name, Before: before, After: &after}}, base: b, warnings: v.unpinned(&after)}, nil
	})
}

// Unpin takes a pin away. Its clusters go with the fleet again, but for those that the live
// release is not good for.
func (f *Fleet) Unpin(ctx context.Context, w Write, name string) (*Result, error) {
	return f.write(ctx, w, Pinned, func(v *View) (plan, error) {
		before := v.pins.byName[name]
		if before == nil {
			return plan{}, fmt.Errorf("pin %q: %w", name, ErrNotFound)
		}
		if err := w.expect(before, false); err != nil {
			return plan{}, err
		}
		return plan{pins: []PinChange{{Pin: name, Before: before}}}, nil
	})
}

func (p *Pin) check(now time.Time) (problems Problems) {
	add := func(field, message string, args ...any) {
		problems = append(problems, Problem{Field: field, Message: fmt.Sprintf(message, args...)})
	}
	if len(validation.IsDNS1123Label(p.Name)) > 0 {
		add("name", "%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", p.Name)
	}
	if p.Release == "" {
		add("release", "name a release, by its ID or revision")
	}
	if (p.Selector == nil) == (len(p.Clusters) == 0) {
		add("selector", "name clusters, or a selector, and not both; an empty selector is for the whole fleet")
	}
	if p.Selector != nil {
		if _, err := p.Selector.Compile(); err != nil {
			add("selector", "%v", err)
		}
	}
	if p.ExpiresAt != nil && !p.ExpiresAt.After(now) {
		add("expiresAt", "is over already")
	}
	return problems
}

// pinnable finds the release of a pin, and completes the pin.
func (f *Fleet) pinnable(ctx context.Context, p *Pin) (*base, error) {
	r, err := f.Release(ctx, p.Release)
	if err != nil {
		return nil, err
	}
	if r.Digest == "" && f.cfg.Store != nil {
		return nil, fmt.Errorf("release %s: %w: it is %s, and nothing can be served of it", r.ID, ErrConflict, r.State)
	}
	b, err := f.revive(ctx, releaseKey{r.Revision, r.Digest}, r.At)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: releases are kept while a cluster is on them, they are held or pinned, or among the last to go live", ErrConflict, err)
	}
	p.Release, p.Revision, p.Snapshot = r.ID, r.Revision, r.Digest
	slices.Sort(p.Clusters)
	p.Clusters = slices.Compact(p.Clusters)
	return b, nil
}

// unpinned warns of clusters of a pin that there are not.
func (v *View) unpinned(p *Pin) (warnings []string) {
	for _, name := range p.Clusters {
		if v.named(name) == nil {
			warnings = append(warnings, fmt.Sprintf("there is no cluster %q", name))
		}
	}
	return warnings
}

// repinned are the clusters that another pin is for in the next view, or none.
func (v *View) repinned(next *View) []string {
	var names []string
	for _, m := range v.members.all() {
		name := m.Cluster.Name
		if declared := v.declaration(name); declared != nil && m.State == Active && v.pins.of(declared) != next.pins.of(declared) {
			names = append(names, name)
		}
	}
	return names
}

// holdBack has clusters that were pinned and that the release they go to is not good
// for stay where they are, and adds that to the plan. It returns the problems that are left.
func (p *plan) holdBack(ctx context.Context, v, next *View, problems Problems) (Problems, error) {
	if len(p.pins) == 0 {
		return problems, nil
	}
	d := newDraft(v.state)
	var names []string
	for _, one := range append(next.failing(), next.unpinnedToNothing(v)...) {
		declared := cmp.Or(next.declaration(one.Cluster), &Cluster{})
		if old := v.named(one.Cluster); old != nil && next.pins.of(declared) == nil {
			d.edit(one.Cluster, func(r *ClusterRecord) { r.Stays = v.stay(one, v.generation+1) })
			names = append(names, one.Cluster)
		}
	}
	if len(names) == 0 {
		return problems, nil
	}
	p.records = append(p.records, d.changes()...)
	next.state = v.state.with(&Change{Pins: p.pins, Records: p.records})
	next.reseat(names)
	more, err := next.render(ctx, next.placesOf(names), nil)
	others := len(next.failing()) > 0
	rest := slices.DeleteFunc(problems, func(o Problem) bool { // A fault of a stack is nobody's, and told once.
		return slices.Contains(names, o.Cluster) || o.Cluster == "" && !o.Warning && !others
	})
	return append(rest, more...), err
}

// unpinnedToNothing are the clusters that only a pin of an earlier view had a release
// for: no other was good for them yet.
func (v *View) unpinnedToNothing(before *View) []FailingCluster {
	var all []FailingCluster
	for _, m := range v.members.all() {
		if old := before.named(m.Cluster.Name); m.unserved(v) && old != nil && old.lost == nil {
			all = append(all, FailingCluster{Cluster: m.Cluster.Name, Reason: v.records[m.Cluster.Name].Stays.Why})
		}
	}
	return all
}

// expired tells whether its time has come.
func (p *Pin) expired(now time.Time) bool { return p.ExpiresAt != nil && !now.Before(*p.ExpiresAt) }
