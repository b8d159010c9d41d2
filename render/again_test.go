package render

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// history is a fleet repo that is committed to, with the clusters and deltas beside it.
type history struct {
	*generator
	files    map[string]string
	clusters []*fleet.Cluster
	deltas   []*fleet.Delta
}

// commit changes something, or nothing.
func (h *history) commit(t *testing.T) string {
	i := h.IntN(len(h.clusters))
	declare := func(change func(c *fleet.Cluster)) { // the one before is remembered
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
			delete(h.files, "overlay/extra.yaml") // which may be broken now
		}
		if h.chance(50) && !strings.Contains(h.files["overlay/kustomization.yaml"], "extra") {
			h.files["overlay/kustomization.yaml"] = strings.Replace(h.files["overlay/kustomization.yaml"], "[../base", "[extra.yaml, ../base", 1)
		}
		return did
	}
	return "nothing"
}

// TestRenderingAgainIsRendering holds that a renderer which takes what it can from the
// revision and the rendering before makes the same of every commit as one that begins
// anew, whatever came before.
func TestRenderingAgainIsRendering(t *testing.T) {
	reused, rendered := 0, 0
	for seed := range uint64(10) {
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
				t.Fatalf("seed %d, %s: problems %v, want %v", seed, did, again.Problems(), fresh.Problems())
			}
			for _, c := range h.clusters {
				before := earlier[c.Name]
				got, problems := again.Render(c, h.deltas, before)
				want, all := fresh.Render(c, h.deltas, nil)
				if !slices.Equal(problems, all) || (got == nil) != (want == nil) {
					t.Fatalf("seed %d, %s: problems of %s are %v, want %v", seed, did, c.Name, problems, all)
				}
				if got == nil {
					continue
				}
				if !sameAnswers(got, want) || !reflect.DeepEqual(got.Objects(), want.Objects()) || !slices.Equal(got.Stale, want.Stale) || !reflect.DeepEqual(got.Placement, want.Placement) {
					t.Fatalf("seed %d, %s: %s has\n%s\nwant\n%s", seed, did, c.Name, got.Inputs["all"].JSON(), want.Inputs["all"].JSON())
				}
				if rendered++; got == before {
					reused++
				}
				earlier[c.Name] = got
			}
		}
	}
	if reused < rendered/10 || rendered < 60 {
		t.Errorf("%d renderings, %d of them the earlier one; the commits do not reach what they should", rendered, reused)
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

// TestCommitKeepsWhatItDoesNotTouch holds that an object which a commit to its stack does
// not change is the same input afterwards, patched or not: what a release changes is found
// by looking at the inputs that are others.
func TestCommitKeepsWhatItDoesNotTouch(t *testing.T) {
	files := map[string]string{
		"fleet.yaml":              "apiVersion: tributary/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  inputs: [{name: apps, kind: App}]\n  placement: [{selector: {}, overlay: base}]\n",
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"base/all.yaml": "apiVersion: example.com/v1\nkind: App\nmetadata: {name: a}\nspec: {n: 1}\n---\n" +
			"apiVersion: example.com/v1\nkind: App\nmetadata: {name: b}\nspec: {n: 1}\n---\napiVersion: example.com/v1\nkind: App\nmetadata: {name: c}\nspec: {n: 1}\n",
	}
	c := &fleet.Cluster{Name: "one", Patches: []fleet.Patch{{Patch: "{apiVersion: example.com/v1, kind: App, metadata: {name: b}, spec: {n: 2}}"}}}
	renderer := NewRenderer()
	files["clusters/one.yaml"] = "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n"
	before, problems := compileWith(t, renderer, files).Render(c, nil, nil)
	if before == nil {
		t.Fatal(problems)
	}
	files["base/all.yaml"] = strings.Replace(files["base/all.yaml"], "{name: c}\nspec: {n: 1}", "{name: c}\nspec: {n: 3}", 1)
	after, _ := compileWith(t, renderer, files).Render(c, nil, before)
	was, is := before.Inputs["apps"].Inputs, after.Inputs["apps"].Inputs
	if was[0] != is[0] || was[1] != is[1] || was[2].Same(is[2]) {
		t.Errorf("inputs = %v, then %v, want the first two kept and the third another", was, is)
	}
}
