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
	// Expect, where it is not nil, is given what the write is about as it is now,
	// nil for nothing, and returns an ErrStale where that is not what was expected.
	Expect func(present any) error
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
	// strict refuses parts that cannot be applied even where they could not before.
	strict bool
	// warnings are for who asked.
	warnings []string
}

// write makes a change of deltas: it is rendered and checked, made durable, and
// served, or nothing happens. The plan is made while nobody else writes.
func (f *Fleet) write(ctx context.Context, w Write, kind ChangeKind, devise func(v *View) (plan, error)) (*Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		before := f.head.generation
		result, err := f.tryWrite(ctx, w, kind, devise)
		overtaken := errors.Is(err, errOvertaken)
		if !overtaken && !errors.Is(err, ErrStore) && f.head.generation == before {
			// Nothing was kept, which must not have been decided on an old log.
			var behind error
			if overtaken, behind = f.upToDate(ctx); err == nil {
				err = behind
			}
		}
		// What another process wrote may change everything.
		if !overtaken || ctx.Err() != nil {
			f.metrics.wrote(w.DryRun, err)
			return result, err
		}
	}
}

var errOvertaken = errors.New("another change came before")

func (f *Fleet) tryWrite(ctx context.Context, w Write, kind ChangeKind, devise func(v *View) (plan, error)) (*Result, error) {
	if f.head.behind {
		if err := f.catchUp(ctx); err != nil {
			return nil, err
		}
	}
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
	next, places, warnings, err := v.after(ctx, p)
	if err != nil {
		return nil, err
	}
	result, err := v.resultOf(next, places)
	if err != nil {
		return nil, err
	}
	result.Warnings, result.DryRun = slices.Concat(p.warnings, warnings), w.DryRun
	if w.DryRun || len(p.changes) == 0 {
		return result, nil
	}
	c := &Change{
		At: f.now(), Kind: kind, Actor: w.Actor, Reason: cmp.Or(w.Reason, p.reason()),
		Deltas: p.changes, Clusters: result.Clusters,
	}
	if err := f.append(ctx, c, next.deltas); errors.Is(err, ErrConflict) {
		return nil, fmt.Errorf("%w: %w", errOvertaken, err)
	} else if err != nil {
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

// after is the view as it is after a plan, with the places of the members that
// the plan is for. Where any of them could not be served so it is Problems.
func (v *View) after(ctx context.Context, p plan) (next *View, places []int, warnings []string, err error) {
	next = v.clone()
	next.deltas = v.deltas.with(p.changes)
	places = v.concerned(p.changes)
	problems, err := next.render(ctx, places, true, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, at := range places {
		problems = append(problems, newOrphans(p, v.members[at], next.members[at])...)
	}
	problems = problems.Sort()
	if faults := problems.Faults(); len(faults) > 0 {
		return nil, nil, nil, next.broken(places, faults)
	}
	for _, problem := range problems {
		warnings = append(warnings, problem.String())
	}
	for _, c := range p.changes {
		warnings = append(warnings, next.strays(c.After)...)
	}
	return next, places, warnings, nil
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

// broken are the faults of a write that the members at those places have, each
// with its cluster: one of the base, that only shows with the write, is else told
// once for all of them.
func (v *View) broken(places []int, faults Problems) Problems {
	nobodys := func(p Problem) bool { return p.Cluster == "" }
	if !slices.ContainsFunc(faults, nobodys) {
		return faults
	}
	faults = slices.DeleteFunc(faults, nobodys)
	for _, at := range places {
		c := v.members[at].Cluster
		_, found := v.repo.Render(c, v.deltas.of(c))
		for _, p := range found.Faults() {
			p.Cluster = c.Name
			faults = append(faults, p)
		}
	}
	return faults.Sort()
}

// concerned are the places of the members that any of the changes is for, before
// or after it.
func (v *View) concerned(changes []DeltaChange) []int {
	found := map[int]bool{}
	for _, c := range changes {
		for _, d := range []*Delta{c.Before, c.After} {
			if d == nil {
				continue
			}
			if at, ok := v.byName[d.Cluster]; d.Cluster != "" {
				if ok {
					found[at] = true
				}
				continue
			}
			named := newNamedDelta(d)
			for i, m := range v.members {
				if named.matches(m.Cluster) {
					found[i] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// resultOf says what lies between two views.
func (v *View) resultOf(next *View, places []int) (*Result, error) {
	r := &Result{Generation: v.generation, Changes: []InputChange{}, Clusters: []string{}}
	for _, at := range places {
		changes, err := impact(v.sets, v.members[at], next.members[at])
		if err != nil {
			return nil, err
		}
		r.Changes = append(r.Changes, changes...)
		r.Clusters = append(r.Clusters, v.members[at].Cluster.Name)
	}
	return r, nil
}

// newOrphans are the parts of deltas that stop applying to a cluster with the
// plan, or never did.
func newOrphans(p plan, old, now *Member) Problems {
	var problems Problems
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
