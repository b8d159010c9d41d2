package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// outcome is what a rendering came to.
type outcome struct {
	rendering *fleet.Rendering
	problems  fleet.Problems
}

// trial finds which parts of deltas a cluster can have. A delta must not break
// it because the base moved on under it, so what does is left out, and all else
// is kept.
//
// A part is kept if with it the cluster has no fault that it has not without
// it. Parts may need one another, such as a resource and the patch that makes it
// satisfy its schema, in whichever order they stand. So many are tried at once,
// and fewer only where those do not fit. It takes about four renderings for each
// part where none fits, and five in all where the faults name what does not.
type trial struct {
	render func(parts []part) outcome
	kept   []part
	with   outcome // of what is kept
	left   []part
}

// settle returns what comes of the parts, with those that do not fit as its
// orphans.
func (t *trial) settle(parts []part) outcome {
	t.with = t.render(nil)
	t.admit(parts)
	var orphans []fleet.Orphan
	slices.SortFunc(t.left, func(a, b part) int { return cmp.Compare(a.order, b.order) })
	for _, p := range t.left { // once more, now that all others are there
		if worse := t.try([]part{p}); len(worse) > 0 {
			orphans = append(orphans, fleet.Orphan{Part: p.Part, Reason: reason(p, worse)})
		}
	}
	if t.with.rendering != nil {
		t.with.rendering.Orphans = orphans
	}
	return t.with
}

// admit keeps what it can of a group: all of it, or all but the parts that the
// faults name, or else what fits of each delta, and at last of each part.
func (t *trial) admit(group []part) {
	for len(group) > 0 {
		worse := t.try(group)
		if len(worse) == 0 {
			return
		}
		blamed := func(p part) bool {
			return slices.ContainsFunc(worse, func(f fleet.Problem) bool { return f.Delta == p.Delta && f.Field == p.Field })
		}
		rest := slices.DeleteFunc(slices.Clone(group), blamed)
		if len(rest) == len(group) {
			break
		}
		for _, p := range group {
			if blamed(p) {
				t.left = append(t.left, p)
			}
		}
		group = rest
	}
	if len(group) < 2 {
		t.left = append(t.left, group...)
		return
	}
	for _, smaller := range divide(group) {
		t.admit(smaller)
	}
}

// try keeps the parts if they fit, and otherwise returns the faults that there
// are with them alone.
func (t *trial) try(parts []part) fleet.Problems {
	all := append(slices.Clone(t.kept), parts...)
	slices.SortFunc(all, func(a, b part) int { return cmp.Compare(a.order, b.order) })
	with := t.render(all)
	worse := slices.DeleteFunc(with.problems.Faults(), func(f fleet.Problem) bool {
		return slices.ContainsFunc(t.with.problems, func(known fleet.Problem) bool { return sameFault(f, known) })
	})
	if len(worse) == 0 {
		t.kept, t.with = all, with
	}
	return worse
}

// sameFault compares without the file: an object that a part changed is the
// cluster's, and its faults are told there and not where it comes from.
func sameFault(a, b fleet.Problem) bool {
	return !b.Warning && a.Delta == b.Delta && a.Field == b.Field && a.Message == b.Message
}

// divide takes parts of several deltas apart by delta, those of one singly.
func divide(group []part) [][]part {
	several := group[0].Delta != group[len(group)-1].Delta
	var out [][]part
	for i, p := range group {
		if several && i > 0 && p.Delta == group[i-1].Delta {
			out[len(out)-1] = append(out[len(out)-1], p)
		} else {
			out = append(out, []part{p})
		}
	}
	return out
}

// maxReasons is how many faults say why a part is an orphan.
const maxReasons = 3

// reason says why a part does not fit.
func reason(p part, worse fleet.Problems) string {
	var lines []string
	for _, f := range worse.Sort() {
		if f.Delta == p.Delta && f.Field == p.Field {
			f.Field = "" // the orphan says so
		}
		if f.Cluster != "" {
			f.File, f.Line = "", 0 // the part is to blame, not the cluster's file
		}
		f.Cluster, f.Delta = "", ""
		lines = append(lines, f.String())
	}
	if more := len(lines) - maxReasons; more > 0 {
		lines = append(lines[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
