package controller_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
)

// manyClusters returns a fleet repo of n clusters with one app, in shards of 20.
func manyClusters(n int) fstest.MapFS {
	tree := tree("v1")
	delete(tree, "clusters/one.yaml")
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c%03d, labels: {shard: s%d}}\n", i, i/20)
	}
	tree["clusters/all.yaml"] = &fstest.MapFile{Data: []byte(b.String())}
	return tree
}

func TestConcurrentWritersLoseNoUpdate(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { concurrentWriters(t, sqliteFile(t)) })
	t.Run("postgres", func(t *testing.T) { concurrentWriters(t, pgtest.Start(t).Database(t)) })
}

func concurrentWriters(t *testing.T, url string) {
	const clusters = 200
	writers := 1_000
	if testing.Short() {
		writers = 300
	}
	s := newSource()
	s.put("main@1", manyClusters(clusters))
	r := start(t, s, openStore(t, url))
	r.awaitRevision("main@1")

	acknowledged := make([]int64, writers)
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			w := controller.WriteOptions{Actor: fmt.Sprintf("writer-%03d", n)}
			var result *fleet.Result
			var err error
			if n%50 == 0 {
				d := r.document(fmt.Sprintf(`{name: group-%03d, selector: {matchLabels: {shard: s%d}}, edits: [{kind: App, name: web, patch: {spec: {groups: {k%03d: x}}}}]}`, n, n/100, n))
				result, err = r.PutDelta(t.Context(), w, d)
			} else {
				p := fleet.ObjectPatch{Type: fleet.MergePatch, Body: fmt.Appendf(nil, `{"spec": {"keys": {"k%03d": "x"}}}`, n)}
				result, err = r.PatchObject(t.Context(), w, fmt.Sprintf("c%03d", n%clusters), objectNamed("App/web"), p)
			}
			if err != nil {
				t.Errorf("writer %d: %v", n, err)
				return
			}
			acknowledged[n] = result.Generation
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}

	history := r.history()
	byActor := map[string]int64{}
	for i, c := range history {
		if c.Generation != int64(i+1) {
			t.Fatalf("entry %d has generation %d", i+1, c.Generation)
		}
		if was, twice := byActor[c.Actor]; twice {
			t.Errorf("%s is in the history twice, at %d and %d", c.Actor, was, c.Generation)
		}
		byActor[c.Actor] = c.Generation
	}
	for n, generation := range acknowledged {
		if got := byActor[fmt.Sprintf("writer-%03d", n)]; got != generation {
			t.Errorf("writer %d is in the history at %d, want the acknowledged %d", n, got, generation)
		}
	}
	if len(history) != writers+1 {
		t.Errorf("the history has %d entries, want %d", len(history), writers+1)
	}

	v := r.view()
	if got, want := deltasOf(t, v.Deltas()), deltasOf(t, folded(t, history)); got != want {
		t.Errorf("deltas =\n%s\nwant the fold of the history:\n%s", got, want)
	}
	state, err := r.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := deltasOf(t, v.Deltas()), deltasOf(t, state.Deltas); got != want || v.Generation() != state.Generation {
		t.Errorf("deltas at %d =\n%s\nwant those of the store at %d:\n%s", v.Generation(), got, state.Generation, want)
	}
	wantFreshRender(t, v, s.next)
	for n := range writers {
		if cluster := fmt.Sprintf("c%03d", n%clusters); n%50 != 0 && !strings.Contains(r.input(cluster, "web"), fmt.Sprintf(`"k%03d":"x"`, n)) {
			t.Errorf("the write of writer %d is not served", n)
		}
	}
}

// folded applies the changes of a history in order. Each change must start from the state that the
// previous one left.
func folded(t *testing.T, history []fleet.Change) []*fleet.Delta {
	t.Helper()
	inForce := map[string]*fleet.Delta{}
	for _, c := range history {
		for _, d := range c.Deltas {
			found := []*fleet.Delta{}
			if before := inForce[d.Delta]; before != nil {
				found = append(found, before)
			}
			was := []*fleet.Delta{}
			if d.Before != nil {
				was = append(was, d.Before)
			}
			if got, want := deltasOf(t, was), deltasOf(t, found); got != want {
				t.Errorf("change %d of %s starts from %s, want %s", c.Generation, d.Delta, got, want)
			}
			if inForce[d.Delta] = d.After; d.After == nil {
				delete(inForce, d.Delta)
			}
		}
	}
	return sortedDeltas(inForce)
}

// wantFreshRender compares what is served with a fresh render of all deltas.
func wantFreshRender(t *testing.T, v *view.View, s *fleet.Snapshot) {
	t.Helper()
	fresh, problems, err := view.Prepare(t.Context(), render.Renderer{}, s, v.Deltas(), nil)
	if fresh == nil {
		t.Fatal(problems, err)
	}
	if got, want := bodies(t, v), bodies(t, fresh); got != want {
		t.Errorf("served =\n%s\nwant a fresh render:\n%s", got, want)
	}
}
