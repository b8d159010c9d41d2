package render

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestOrphansAreWhatDoesNotFit holds that a delta never breaks a cluster: one
// that is sound without deltas is rendered with any. What is left out is told,
// does not fit in even now, and leaves no trace: the cluster stands for the same
// without it.
func TestOrphansAreWhatDoesNotFit(t *testing.T) {
	const cases = 20
	var orphaned, kept int
	for seed := range uint64(cases) {
		t.Logf("seed %d", seed)
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 9)), served: true}
		files, c := g.fleet()
		c.Resources = nil // time: what is the cluster's own is in the other property
		c.Patches = nil
		g.served = false
		repo := compiled(t, files)
		if sound, problems := repo.Render(c, nil, nil); sound == nil {
			t.Fatal(problems)
		}
		deltas := []generated{g.delta("one"), g.delta("two"), g.delta("three")}
		read := readAll(t, deltas)
		rendering, problems := repo.Render(c, read, nil)
		if rendering == nil {
			t.Fatalf("a delta broke the cluster: %v\n%s", problems, show(files, c, deltas))
		}
		orphaned += len(rendering.Stale)
		kept += len(deltaParts(read)) - len(rendering.Stale)
		checkOrphans(t, repo, c, read, rendering)
		if t.Failed() {
			t.Fatal(show(files, c, deltas))
		}
		if len(rendering.Stale) > 0 {
			checkAgainstKustomize(t, files, c, without(deltas, rendering.Stale)...)
		}
	}
	t.Logf("%d parts orphaned, %d kept", orphaned, kept)
	if orphaned < cases/4 || kept < orphaned {
		t.Errorf("%d parts orphaned and %d kept; the generated deltas no longer reach what they should", orphaned, kept)
	}
}

func checkOrphans(t *testing.T, r *Repo, c *fleet.Cluster, deltas []*fleet.Delta, with *fleet.Rendering) {
	t.Helper()
	again, _ := r.Render(c, deltas, nil)
	if !sameAnswers(again, with) || !reflect.DeepEqual(again.Stale, with.Stale) {
		t.Errorf("Render gives orphans %v, then %v", with.Stale, again.Stale)
	}
	isOrphan := func(p part) bool {
		return slices.ContainsFunc(with.Stale, func(o fleet.StalePart) bool { return o.Part == p.Part })
	}
	p, _ := r.place(c)
	rest := slices.DeleteFunc(deltaParts(deltas), isOrphan)
	out := r.renderWith(c, p, rest, nil)
	if out.rendering == nil || !sameAnswers(out.rendering, with) || !reflect.DeepEqual(out.rendering.Objects(), with.Objects()) {
		t.Errorf("without the orphans %v the cluster gets something else: %v", with.Stale, out.problems)
	}
	for i, all := range deltaParts(deltas) {
		if !isOrphan(all) {
			continue
		}
		back := slices.DeleteFunc(deltaParts(deltas), func(p part) bool { return isOrphan(p) && p.order != i })
		if out := r.renderWith(c, p, back, nil); out.rendering != nil {
			t.Errorf("%v is an orphan, and fits", all.Part)
		}
	}
}

// sameAnswers tells whether polls of two renderings are answered with the same bytes.
func sameAnswers(a, b *fleet.Rendering) bool {
	return maps.EqualFunc(a.Inputs, b.Inputs, func(a, b *fleet.Answer) bool { return bytes.Equal(a.JSON(), b.JSON()) })
}

// without leaves the orphans out of the deltas.
func without(deltas []generated, orphans []fleet.StalePart) []generated {
	var out []generated
	for _, d := range deltas {
		gone := func(list string, i int) bool {
			return slices.ContainsFunc(orphans, func(o fleet.StalePart) bool {
				return o.Part == fleet.Part{Delta: fleet.DeltaID(d.name), Field: fmt.Sprintf("%s[%d]", list, i)}
			})
		}
		out = append(out, generated{
			name:       d.name,
			components: keep("components", d.components, gone),
			resources:  keep("resources", d.resources, gone),
			patches:    keep("patches", d.patches, gone),
			edits:      keep("edits", d.edits, gone),
		})
	}
	return out
}

func keep[T any](name string, list []T, gone func(list string, i int) bool) []T {
	var out []T
	for i, e := range list {
		if !gone(name, i) {
			out = append(out, e)
		}
	}
	return out
}
