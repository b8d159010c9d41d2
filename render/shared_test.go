package render

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
)

// TestAnswerIsItsInputs holds that the inputs of a rendering, with the cluster's
// identity, are the very bytes of the answer, whatever the fleet: who compares inputs
// compares what is served.
func TestAnswerIsItsInputs(t *testing.T) {
	served := 0
	for seed := range uint64(60) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 11))}
		files, cluster := g.fleet()
		rendering, _ := compiled(t, files).Render(cluster, nil, nil)
		if rendering == nil {
			continue
		}
		served++
		identity, err := kustomize.EncodeJSON(cluster.Identity())
		if err != nil {
			t.Fatal(err)
		}
		for name, set := range rendering.Inputs {
			if got := written(set.Inputs, identity); !bytes.Equal(got, set.JSON()) || set.Size() != len(got) {
				t.Fatalf("seed %d: inputs of set %q are\n%s\nwant\n%s", seed, name, got, set.JSON())
			}
			checkIDs(t, set)
		}
	}
	if served < 10 {
		t.Errorf("only %d of the generated clusters are served", served)
	}
}

func written(inputs []*fleet.Input, identity []byte) []byte {
	b := []byte(`{"inputs":[`)
	for i, in := range inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = in.AppendTo(b, identity)
	}
	return append(b, "]}"...)
}

func checkIDs(t *testing.T, set *fleet.Answer) {
	t.Helper()
	var answer struct{ Inputs []struct{ ID string } }
	if err := json.Unmarshal(set.JSON(), &answer); err != nil {
		t.Fatal(err)
	}
	for i, in := range answer.Inputs {
		if in.ID != set.Inputs[i].ID {
			t.Errorf("input %d has the id %q and says %q", i, in.ID, set.Inputs[i].ID)
		}
	}
}

// TestClustersShareInputs holds that what two clusters have alike is one input, and what
// one has patched is another.
func TestClustersShareInputs(t *testing.T) {
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
		rendering, problems := repo.Render(c, nil, nil)
		if rendering == nil {
			t.Fatal(problems)
		}
		inputs = append(inputs, rendering.Inputs["apps"].Inputs)
	}
	if one, two := inputs[0], inputs[1]; one[0] != two[0] || one[1].Same(two[1]) || !one[0].Same(two[0]) {
		t.Errorf("inputs = %v and %v, want the first shared and the second not", one, two)
	}
}
