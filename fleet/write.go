package fleet

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Write says who asks for a change, why, and on which condition.
type Write struct {
	// Actor is the name of the credential.
	Actor  string
	Reason string
	// DryRun has all done but the change itself.
	DryRun bool
	// Scope limits the write to clusters that it matches; nil does not.
	Scope *Selector
	// Expect, where it is not nil, is given what the write is about as it is now,
	// nil for nothing, and returns an ErrStale where that is not what was expected.
	Expect func(present any) error

	holder string // who must lead for the change to be kept; empty for anybody
}

// Result is what came of a write, or what would with DryRun.
type Result struct {
	// Generation is that of the change, or the present one where nothing changed.
	Generation int64 `json:"generation"`
	DryRun     bool  `json:"dryRun,omitempty"`
	// Changes are the inputs that are others now, by cluster, set and id.
	Changes []InputChange `json:"changes"`
	// Clusters are those that the write was for, sorted.
	Clusters []string `json:"clusters"`
	// Warnings are what may not be as it was meant.
	Warnings []string `json:"warnings,omitempty"`
}

// plan is what a write comes to, given what is served.
type plan struct {
	changes []DeltaChange
	records []RecordChange
	tokens  []TokenChange
	// about is a cluster that the plan is for, whatever it changes; empty for none.
	about string
	// strict refuses parts that cannot be applied even where they could not before.
	strict bool
	// warnings are for who asked.
	warnings []string
}

// write makes a change of deltas and clusters: it is rendered and checked, made
// durable, and served, or nothing happens. The plan is made while nobody else writes.
func (f *Fleet) write(ctx context.Context, w Write, kind ChangeKind, devise func(v *View) (plan, error)) (*Result, error) {
	var result *Result
	err := f.inTurn(ctx, func() (err error) {
		result, err = f.tryWrite(ctx, w, kind, devise)
		return err
	})
	f.metrics.wrote(w.DryRun, err)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// inTurn has one try to write after the other, and again where another server's
// change came before. What fails otherwise must not have been decided on an old log.
func (f *Fleet) inTurn(ctx context.Context, try func() error) error {
	if f.cfg.ReadOnly {
		return ErrReadOnly
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for tries := 1; ; tries++ {
		if f.head.behind {
			if err := f.catchUp(ctx); err != nil {
				return err
			}
		}
		before := f.head.generation
		err := try()
		if f.head.generation != before || errors.Is(err, ErrStore) {
			return err
		}
		moved, behind := f.upToDate(ctx)
		overtaken := errors.Is(err, errOvertaken)
		switch {
		case ctx.Err() != nil:
			return err
		case moved:
			// What another server wrote may change everything.
		case behind != nil && (err == nil || overtaken):
			return behind
		case !overtaken || tries == patience:
			return err
		}
	}
}

// patience is how often a change is tried that conflicts with nothing that can be
// seen in the log.
const patience = 5

var errOvertaken = errors.New("another change came before")

func (f *Fleet) tryWrite(ctx context.Context, w Write, kind ChangeKind, devise func(v *View) (plan, error)) (*Result, error) {
	v, err := f.View()
	if err != nil {
		return nil, err
	}
	if v.generation != f.head.generation {
		return nil, fmt.Errorf("fleet: %w for writes: the change log is at generation %d, and what went live there cannot be served here", ErrNotReady, f.head.generation)
	}
	p, err := devise(v)
	if err != nil {
		return nil, err
	}
	p.changes = slices.DeleteFunc(p.changes, DeltaChange.isNone)
	slices.SortFunc(p.changes, func(a, b DeltaChange) int { return cmp.Compare(a.Delta, b.Delta) })
	next, names, warnings, err := v.after(ctx, p)
	if err == nil {
		err = w.inScope(v, next, names, p.changes)
	}
	if err != nil {
		return nil, err
	}
	result, err := v.resultOf(next, names)
	if err != nil {
		return nil, err
	}
	result.Warnings, result.DryRun = slices.Concat(p.warnings, warnings), w.DryRun
	if w.DryRun || len(p.changes)+len(p.records)+len(p.tokens) == 0 {
		return result, nil
	}
	c := &Change{
		At: f.now(), Kind: kind, Actor: w.Actor, Reason: cmp.Or(w.Reason, p.reason()), Holder: w.holder,
		Deltas: p.changes, Records: p.records, Tokens: p.tokens, Clusters: result.Clusters,
	}
	if err := f.append(ctx, c); err != nil {
		return nil, err
	}
	next.generation, result.Generation = c.Generation, c.Generation
	f.publish(next)
	return result, nil
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
	next.members = slices.Clone(v.members)
	return &next
}

// after is the view as it is after a plan, with the names of the clusters that the
// plan is for. Where any of them could not be served so it is Problems.
func (v *View) after(ctx context.Context, p plan) (next *View, names, warnings []string, err error) {
	next, names = v.planned(p)
	problems, err := next.render(ctx, next.placesOf(names), nil)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, name := range names {
		problems = append(problems, newOrphans(p, v.named(name), next.named(name))...)
	}
	if len(p.records) > 0 {
		problems = append(problems, next.clashes()...)
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
	next.state = v.state.with(p.changes, p.records)
	found := v.concerned(p.changes)
	if p.about != "" {
		found[p.about] = true
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

// placesOf are the places of the members of those names, as far as there are any.
func (v *View) placesOf(names []string) []int {
	var places []int
	for _, name := range names {
		if at, there := slices.BinarySearchFunc(v.members, name, byClusterName); there {
			places = append(places, at)
		}
	}
	return places
}

func byClusterName(m *Member, name string) int { return cmp.Compare(m.Cluster.Name, name) }

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
		m := v.members[at]
		_, found := m.rendered(v.deltas)
		for _, p := range found.Faults() {
			p.Cluster = m.Cluster.Name
			all = append(all, p)
		}
	}
	return append(append(all, slices.DeleteFunc(slices.Clone(faults), nobodys)...), v.clashes()...).Sort()
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
			for _, m := range v.members {
				if m.State != DecommissionedState && named.matches(m.Cluster) {
					found[m.Cluster.Name] = true
				}
			}
		}
	}
	return found
}

// resultOf says what lies between two views for the clusters of those names.
func (v *View) resultOf(next *View, names []string) (*Result, error) {
	r := &Result{Generation: v.generation, Changes: []InputChange{}, Clusters: append([]string{}, names...)}
	for _, name := range names {
		changes, err := impact(name, v.named(name), next.named(name))
		if err != nil {
			return nil, err
		}
		r.Changes = append(r.Changes, changes...)
	}
	return r, nil
}

// newOrphans are the parts of deltas that stop applying to a cluster with the
// plan, or never did.
func newOrphans(p plan, old, now *Member) Problems {
	var problems Problems
	if now == nil {
		return nil
	}
	if old == nil {
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
			problems = append(problems, Problem{Cluster: now.Cluster.Name, Field: o.Field, Message: "delta " + o.Delta + " cannot be applied: " + o.Reason})
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
