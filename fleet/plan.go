package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// plan is what a write comes to, given what is served.
type plan struct {
	changes []DeltaChange
	records []RecordChange
	tokens  []TokenChange
	pins    []PinChange
	base    *base // of a release that the plan has clusters be on
	// lineup is the one after the plan; nil where that is as it was.
	lineup *Lineup
	// about is a cluster that the plan is for, whatever it changes; empty for none.
	about string
	// strict refuses parts that cannot be applied even where they could not before.
	strict bool
	// warnings are for who asked.
	warnings []string
}

// isNone tells whether a change changes nothing.
func (c DeltaChange) isNone() bool {
	if c.Before == nil || c.After == nil {
		return c.Before == c.After
	}
	return bytes.Equal(encode(c.Before), encode(c.After))
}

// reason is that of a delta that comes with another one than it had.
func (p plan) reason() string {
	for _, c := range p.changes {
		if c.After != nil && (c.Before == nil || c.Before.Reason != c.After.Reason) {
			return c.After.Reason
		}
	}
	return ""
}

// clone is a view that may be changed until it is published.
func (v *View) clone() *View {
	next := *v
	return &next
}

// after is the view as it is after a plan, with the names of the clusters that the
// plan is for. Where any of them could not be served so it is Problems.
func (v *View) after(ctx context.Context, p *plan) (next *View, names, warnings []string, err error) {
	next, names = v.planned(*p)
	problems, err := next.render(ctx, next.placesOf(names), nil)
	if err == nil {
		problems, err = p.holdBack(ctx, v, next, problems)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	for _, name := range names {
		problems = append(problems, newOrphans(*p, v.named(name), next.named(name))...)
	}
	if declaring := p.declaring(); len(declaring) > 0 { // else no clash is a fault
		problems = append(problems, next.clashes(declaring).Faults()...)
	}
	problems = problems.Sort()
	if faults := problems.Faults(); len(faults) > 0 {
		return nil, nil, nil, next.broken(names, faults)
	}
	for _, problem := range problems {
		warnings = append(warnings, problem.String())
	}
	for _, c := range p.changes {
		warnings = append(warnings, next.strays(c.After)...)
	}
	return next, names, warnings, nil
}

// planned is the view with the state after a plan, yet to be rendered for the
// clusters of those names.
func (v *View) planned(p plan) (next *View, names []string) {
	next = v.clone()
	next.state = v.state.with(&Change{Deltas: p.changes, Records: p.records, Pins: p.pins})
	found := v.concerned(p.changes)
	if p.about != "" {
		found[p.about] = true
	}
	if len(p.pins) > 0 {
		next.bases = v.adding(p.base)
		repinned := v.repinned(next)
		next.reseat(repinned)
		for _, name := range repinned {
			found[name] = true
		}
	}
	if len(p.records) > 0 {
		var recorded []string
		for _, c := range p.records {
			recorded = append(recorded, c.Cluster)
			found[c.Cluster] = true
		}
		next.reseat(recorded)
		maps.Copy(found, next.concerned(p.changes))
	}
	return next, slices.Sorted(maps.Keys(found))
}

// staying tells whether the plan has to do with clusters that stay on a release.
func (p plan) staying() bool {
	return slices.ContainsFunc(p.records, func(c RecordChange) bool {
		return c.Before != nil && c.Before.Stays != nil || c.After != nil && c.After.Stays != nil
	})
}

// declaring are the clusters of which the plan has the log say something else.
func (p plan) declaring() map[string]bool {
	names := map[string]bool{}
	for _, c := range p.records {
		names[c.Cluster] = true
	}
	return names
}

// placesOf are the places of the members of those names, as far as there are any.
func (v *View) placesOf(names []string) []int {
	var places []int
	for _, name := range names {
		if at, there := v.placeOf(name); there {
			places = append(places, at)
		}
	}
	return places
}

// strays says which clusters a delta is for that there are not.
func (v *View) strays(d *Delta) (warnings []string) {
	if d == nil {
		return nil
	}
	for _, name := range d.Clusters {
		if _, err := v.Member(name); err != nil {
			warnings = append(warnings, fmt.Sprintf("delta %q: there is no cluster %q", d.Name, name))
		}
	}
	if len(v.concerned([]DeltaChange{{After: d}})) == 0 {
		warnings = append(warnings, describe(d.ID())+" is for no cluster that there is")
	}
	return warnings
}

// broken are the faults of a write that the clusters of those names have, each
// with its cluster: one of the base, that only shows with the write, is else told
// once for all of them.
func (v *View) broken(names []string, faults Problems) Problems {
	nobodys := func(p Problem) bool { return p.Cluster == "" }
	if !slices.ContainsFunc(faults, nobodys) {
		return faults
	}
	var all Problems
	for _, at := range v.placesOf(names) {
		m := v.members.at(at)
		_, found := m.rendered(v.deltas)
		for _, p := range found.Faults() {
			p.Cluster = m.Cluster.Name
			all = append(all, p)
		}
	}
	return append(all, slices.DeleteFunc(slices.Clone(faults), nobodys)...).Sort()
}

// concerned are the names of the clusters that any of the changes is for, before or
// after it. A decommissioned one has nothing that could change.
func (v *View) concerned(changes []DeltaChange) map[string]bool {
	found := map[string]bool{}
	for _, c := range changes {
		for _, d := range []*Delta{c.Before, c.After} {
			if d == nil {
				continue
			}
			if d.Cluster != "" {
				if m := v.named(d.Cluster); m != nil && m.State != DecommissionedState {
					found[d.Cluster] = true
				}
				continue
			}
			named := newNamedDelta(d)
			for _, m := range v.members.all() {
				if m.State != DecommissionedState && named.matches(m.Cluster) {
					found[m.Cluster.Name] = true
				}
			}
		}
	}
	return found
}

// resultOf says what lies between two views for the clusters of those names, with
// what becomes of each.
func (v *View) resultOf(next *View, names []string) (*Result, []memberEffect, error) {
	r := &Result{Generation: v.generation, Changes: []InputChange{}, Clusters: append([]string{}, names...)}
	all, err := effectsOf(pairsNamed(v, next, names), telling{changes: true})
	for _, e := range all {
		r.Changes = append(r.Changes, e.changes...)
	}
	return r, all, err
}

// newOrphans are the parts of deltas that stop applying to a cluster with the
// plan, or never did. A cluster that comes goes without those that were there before
// it, as one does that comes with Git: it must not be kept out by them. Of pins they are
// warnings, because the guard asks about them.
func newOrphans(p plan, old, now *Member) Problems {
	var problems Problems
	if now == nil {
		return nil
	}
	comes := old == nil
	if comes {
		old = &Member{}
	}
	for _, o := range now.Orphans {
		at := slices.IndexFunc(p.changes, func(c DeltaChange) bool { return c.Delta == o.Delta })
		known := slices.ContainsFunc(old.Orphans, func(before Orphan) bool {
			if before.Delta != o.Delta || at < 0 {
				return before.Part == o.Part
			}
			return !p.strict && p.changes[at].Before.part(before.Field) == p.changes[at].After.part(o.Field)
		})
		if !known {
			problems = append(problems, Problem{
				Cluster: now.Cluster.Name, Field: o.Field, Message: "delta " + o.Delta + " cannot be applied: " + o.Reason, Warning: comes && at < 0 || len(p.pins) > 0,
			})
		}
	}
	return problems
}

// part is what stands in a field such as patches[0], as text; "" for nothing.
func (d *Delta) part(field string) string {
	if d == nil {
		return ""
	}
	list, index, _ := strings.Cut(strings.TrimSuffix(field, "]"), "[")
	var fields map[string]json.RawMessage
	var parts []json.RawMessage
	if json.Unmarshal(encode(d), &fields) != nil || json.Unmarshal(fields[list], &parts) != nil {
		return ""
	}
	for i, part := range parts {
		if fmt.Sprint(i) == index {
			return string(part)
		}
	}
	return ""
}
