package render

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// history is a fleet repo with commits, and the clusters and deltas for it.
type history struct {
	*generator
	files    map[string]string
	clusters []*fleet.Cluster
	deltas   []*fleet.Delta
}

// commit changes something at random, or nothing, and says what.
func (h *history) commit(t *testing.T) string {
	i := h.IntN(len(h.clusters))
	declare := func(change func(c *fleet.Cluster)) { // renderings have the one before
		c := *h.clusters[i]
		change(&c)
		h.clusters[i] = &c
	}
	switch did := h.one("nothing", "base", "one object", "component", "cluster", "label", "fleet", "delta", "overlay"); did {
	case "base":
		h.files["base/all.yaml"] = h.base()
		return did
	case "one object":
		h.files["base/all.yaml"] = strings.Replace(h.files["base/all.yaml"], "ports: [80", "ports: [1, 80", 1)
		return did
	case "component":
		h.files["component/kustomization.yaml"] = strings.ReplaceAll(h.files["component/kustomization.yaml"], "value: true", h.one("value: true", "value: false"))
		return did
	case "cluster":
		declare(func(c *fleet.Cluster) {
			c.Patches = []fleet.Patch{h.patch(), h.patch()}
			c.Resources = []fleet.Resource{{YAML: h.resource()}}
		})
		return did
	case "label":
		declare(func(c *fleet.Cluster) { c.Labels = map[string]string{"environment": h.one("dev", "prod")} })
		return did
	case "fleet":
		h.files["fleet.yaml"] = strings.Replace(generatedFleet, "fields: {object: .}", h.one("fields: {object: .}", "fields: {object: ., more: spec}"), 1)
		return did
	case "delta":
		h.deltas = readAll(t, []generated{h.delta("one")})
		return did
	case "overlay":
		if h.files["overlay/extra.yaml"] = h.resource(); h.chance(50) {
			delete(h.files, "overlay/extra.yaml") // which may break the overlay
		}
		if h.chance(50) && !strings.Contains(h.files["overlay/kustomization.yaml"], "extra") {
			h.files["overlay/kustomization.yaml"] = strings.Replace(h.files["overlay/kustomization.yaml"], "[../base", "[extra.yaml, ../base", 1)
		}
		return did
	}
	return "nothing"
}

// TestReuseDoesNotChangeRenderings checks that a renderer which reuses what it can from
// the revision and the rendering before makes the same of every commit as one that starts
// from nothing.
func TestReuseDoesNotChangeRenderings(t *testing.T) {
	t.Parallel()
	var reused, rendered atomic.Int64
	forSeeds(t, 10, func(t *testing.T, seed uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 15)), served: true}
		h := &history{generator: g}
		h.files, _ = g.fleet()
		for _, name := range []string{"a", "b", "c"} {
			h.clusters = append(h.clusters, &fleet.Cluster{Name: name, Patches: []fleet.Patch{h.patch()}})
		}
		renderer, earlier := NewRenderer(), map[string]*fleet.Rendering{}
		for range 8 {
			did := h.commit(t)
			again, fresh := compileWith(t, renderer, h.files), compileWith(t, Renderer{}, h.files)
			if !slices.Equal(again.Problems(), fresh.Problems()) {
				t.Fatalf("%s: problems %v, want %v", did, again.Problems(), fresh.Problems())
			}
			for _, c := range h.clusters {
				before := earlier[c.Name]
				got, problems := again.Render(context.Background(), c, h.deltas, before)
				want, all := fresh.Render(context.Background(), c, h.deltas, nil)
				if !slices.Equal(problems, all) || (got == nil) != (want == nil) {
					t.Fatalf("%s: problems of %s are %v, want %v", did, c.Name, problems, all)
				}
				if got == nil {
					continue
				}
				if !sameAnswers(got, want) || !reflect.DeepEqual(got.Objects(), want.Objects()) || !slices.Equal(got.Stale, want.Stale) || !reflect.DeepEqual(got.Placement, want.Placement) {
					t.Fatalf("%s: %s has\n%s\nwant\n%s", did, c.Name, got.Inputs["all"].JSON(), want.Inputs["all"].JSON())
				}
				if rendered.Add(1); got == before {
					reused.Add(1)
				}
				earlier[c.Name] = got
			}
		}
	})
	if reused.Load() < rendered.Load()/10 || rendered.Load() < 60 {
		t.Errorf("%d renderings, %d of them the earlier one; the commits no longer cover what they should", rendered.Load(), reused.Load())
	}
}

func compileWith(t *testing.T, renderer Renderer, files map[string]string) *Repo {
	t.Helper()
	repo, err := renderer.Compile(context.Background(), mapFS(files))
	if err != nil {
		t.Fatal(err)
	}
	return repo.(*Repo)
}

// TestUnchangedObjectsKeepTheirInputs checks that an object which a commit to its stack
// does not change keeps its input, patched or not: what a release changes is found by
// comparing the addresses of inputs.
func TestUnchangedObjectsKeepTheirInputs(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"fleet.yaml":              "apiVersion: tributary/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  inputs: [{name: apps, kind: App}]\n  placement: [{selector: {}, overlay: base}]\n",
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"base/all.yaml": "apiVersion: example.com/v1\nkind: App\nmetadata: {name: a}\nspec: {n: 1}\n---\n" +
			"apiVersion: example.com/v1\nkind: App\nmetadata: {name: b}\nspec: {n: 1}\n---\napiVersion: example.com/v1\nkind: App\nmetadata: {name: c}\nspec: {n: 1}\n",
	}
	c := &fleet.Cluster{Name: "one", Patches: []fleet.Patch{{Patch: "{apiVersion: example.com/v1, kind: App, metadata: {name: b}, spec: {n: 2}}"}}}
	renderer := NewRenderer()
	files["clusters/one.yaml"] = "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n"
	before, problems := compileWith(t, renderer, files).Render(context.Background(), c, nil, nil)
	if before == nil {
		t.Fatal(problems)
	}
	files["base/all.yaml"] = strings.Replace(files["base/all.yaml"], "{name: c}\nspec: {n: 1}", "{name: c}\nspec: {n: 3}", 1)
	after, _ := compileWith(t, renderer, files).Render(context.Background(), c, nil, before)
	was, is := before.Inputs["apps"].Inputs, after.Inputs["apps"].Inputs
	if was[0] != is[0] || was[1] != is[1] || was[2].Same(is[2]) {
		t.Errorf("inputs = %v, then %v, want the first two kept and the third changed", was, is)
	}
}

// TestClustersShareInputs checks that two clusters share the input of an object that both
// have, and not that of an object that one has patched.
func TestClustersShareInputs(t *testing.T) {
	t.Parallel()
	repo := compiled(t, map[string]string{
		"fleet.yaml": `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs: [{name: apps, kind: App}]
  placement: [{selector: {}, overlay: base}]
`,
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"base/all.yaml": "apiVersion: example.com/v1\nkind: App\nmetadata: {name: a}\nspec: {n: 1}\n---\n" +
			"apiVersion: example.com/v1\nkind: App\nmetadata: {name: b}\nspec: {n: 1}\n",
		"clusters/one.yaml": "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n",
		"clusters/two.yaml": "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: two}\nspec:\n  patches:\n" +
			"  - patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: b}, spec: {n: 2}}'\n",
	})
	var inputs [][]*fleet.Input
	for _, c := range repo.Clusters() {
		rendering, problems := repo.Render(context.Background(), c, nil, nil)
		if rendering == nil {
			t.Fatal(problems)
		}
		inputs = append(inputs, rendering.Inputs["apps"].Inputs)
	}
	if one, two := inputs[0], inputs[1]; one[0] != two[0] || one[1].Same(two[1]) || !one[0].Same(two[0]) {
		t.Errorf("inputs = %v and %v, want the first shared and the second not", one, two)
	}
}
