package render

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestStalePartsAreWhatDoesNotFit checks that a delta never breaks a cluster: one that
// can be rendered without deltas can be rendered with any. The parts that are left out
// are reported, do not fit even on top of the others, and have no effect: the cluster is
// the same as without them.
func TestStalePartsAreWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	const cases = 20
	var stale, kept atomic.Int64
	forSeeds(t, cases, func(t *testing.T, seed uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 9)), served: true}
		files, c := g.fleet()
		c.Resources, c.Patches = nil, nil // another property covers them
		g.served = false
		repo := compiled(t, files)
		if rendering, problems := repo.Render(context.Background(), c, nil, nil); rendering == nil {
			t.Fatal(problems)
		}
		deltas := []generated{g.delta("one"), g.delta("two"), g.delta("three")}
		read := readAll(t, deltas)
		rendering, problems := repo.Render(context.Background(), c, read, nil)
		if rendering == nil {
			t.Fatalf("a delta broke the cluster: %v\n%s", problems, show(files, c, deltas))
		}
		stale.Add(int64(len(rendering.Stale)))
		kept.Add(int64(len(deltaParts(read)) - len(rendering.Stale)))
		checkStaleParts(t, repo, c, read, rendering)
		if t.Failed() {
			t.Fatal(show(files, c, deltas))
		}
		if len(rendering.Stale) > 0 {
			checkAgainstKustomize(t, files, c, without(deltas, rendering.Stale)...)
		}
	})
	t.Logf("%d parts are stale, %d kept", stale.Load(), kept.Load())
	if stale.Load() < cases/4 || kept.Load() < stale.Load() {
		t.Errorf("%d parts are stale and %d kept; the generated deltas no longer cover what they should", stale.Load(), kept.Load())
	}
}

func checkStaleParts(t *testing.T, r *Repo, c *fleet.Cluster, deltas []*fleet.Delta, with *fleet.Rendering) {
	t.Helper()
	again, _ := r.Render(context.Background(), c, deltas, nil)
	if !sameAnswers(again, with) || !reflect.DeepEqual(again.Stale, with.Stale) {
		t.Errorf("Render gives stale parts %v, then %v", with.Stale, again.Stale)
	}
	isStale := func(p part) bool {
		return slices.ContainsFunc(with.Stale, func(o fleet.StalePart) bool { return o.Part == p.Part })
	}
	p, _ := r.place(c)
	rest := slices.DeleteFunc(deltaParts(deltas), isStale)
	out := r.renderWith(context.Background(), c, p, rest, nil)
	if out.rendering == nil || !sameAnswers(out.rendering, with) || !reflect.DeepEqual(out.rendering.Objects(), with.Objects()) {
		t.Errorf("without the stale parts %v the cluster has different answers: %v", with.Stale, out.problems)
	}
	for i, all := range deltaParts(deltas) {
		if !isStale(all) {
			continue
		}
		back := slices.DeleteFunc(deltaParts(deltas), func(p part) bool { return isStale(p) && p.order != i })
		if out := r.renderWith(context.Background(), c, p, back, nil); out.rendering != nil {
			t.Errorf("%v is stale, and fits", all.Part)
		}
	}
}

// sameAnswers reports whether polls of two renderings get the same bytes.
func sameAnswers(a, b *fleet.Rendering) bool {
	return maps.EqualFunc(a.Inputs, b.Inputs, func(a, b *fleet.Answer) bool { return bytes.Equal(a.JSON(), b.JSON()) })
}

// without returns the deltas without their stale parts.
func without(deltas []generated, stale []fleet.StalePart) []generated {
	var out []generated
	for _, d := range deltas {
		gone := func(list string, i int) bool {
			return slices.ContainsFunc(stale, func(o fleet.StalePart) bool {
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
