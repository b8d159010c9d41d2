package render

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// validFleet returns a fleet in which fuzz targets replace one file.
func validFleet() map[string]string {
	return map[string]string{
		"fleet.yaml": `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App, defaults: {values: {}}}
  - {name: all, selector: {}, id: [kind, metadata.namespace, metadata.name], fields: {manifest: .}}
  placement:
  - {selector: {}, overlay: base}
`,
		"base/kustomization.yaml": "resources: [app.yaml]\n",
		"base/app.yaml":           "apiVersion: example.com/v1\nkind: App\nmetadata: {name: web, labels: {a: b}}\nspec: {tag: v1, list: [{name: a}]}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n",
		"clusters/one.yaml":       "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one, labels: {a: b}}\n",
	}
}

// check prepares a tree and checks what must hold whatever is in it: it is served or has
// a fault, two renderings give the same bytes, every answer is complete JSON that Flux
// Operator accepts, and problems name files.
func check(t *testing.T, files map[string]string) {
	t.Helper()
	first := prepared(t, files)
	again := prepared(t, files)
	if len(first) != len(again) {
		t.Fatalf("%d answers, then %d", len(first), len(again))
	}
	for name, body := range first {
		if !bytes.Equal(body, again[name]) {
			t.Fatalf("%s = %s, then %s", name, body, again[name])
		}
	}
}

func prepared(t *testing.T, files map[string]string) map[string][]byte {
	t.Helper()
	view, problems, err := view.Prepare(context.Background(), Renderer{}, &fleet.Snapshot{Revision: "r", Tree: mapFS(files)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.File == "" || p.Message == "" || strings.Contains(p.File, "..") {
			t.Fatalf("problem without a file of the tree: %+v", p)
		}
	}
	if (view == nil) != (len(problems.Faults()) > 0) {
		t.Fatalf("view %v with faults %v", view != nil, problems.Faults())
	}
	answers := map[string][]byte{}
	if view == nil {
		return answers
	}
	for _, m := range view.Members() {
		for _, set := range view.Sets() {
			body, err := m.Body(set)
			if err != nil {
				t.Fatal(err)
			}
			checkAnswer(t, body.JSON())
			answers[m.Cluster.Name+"/"+set] = body.JSON()
		}
	}
	return answers
}

// checkAnswer checks the contract with Flux Operator.
func checkAnswer(t *testing.T, body []byte) {
	t.Helper()
	var answer struct {
		Inputs []map[string]any `json:"inputs"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Inputs == nil {
		t.Fatalf("answer %s: %v", body, err)
	}
	last := ""
	for _, in := range answer.Inputs {
		id, ok := in["id"].(string)
		if !ok || id <= last {
			t.Fatalf("id %v after %q in %s", in["id"], last, body)
		}
		last = id
		if _, taken := in["provider"]; taken {
			t.Fatalf("provider in %s", body)
		}
		for key, value := range in {
			if value == nil {
				t.Fatalf("%s is null in %s", key, body)
			}
		}
	}
}

func FuzzFleetFile(f *testing.F) {
	f.Add(validFleet()["fleet.yaml"])
	f.Add(strings.Replace(validFleet()["fleet.yaml"], "{name: apps,", "{name: apps, id: [spec.tag, 'metadata.labels.[a]'], fields: {x: spec.list.-.name, y: 'spec.list.[name=a]'}, allowEmpty: true,", 1))
	f.Add("a: &a [*a]\nspec: {inputs: [{defaults: {id: ~}}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		files := validFleet()
		files["fleet.yaml"] = text
		check(t, files)
	})
}

func FuzzClusterFile(f *testing.F) {
	f.Add(validFleet()["clusters/one.yaml"])
	f.Add(validFleet()["clusters/one.yaml"] + `spec:
  dns: one.example.com
  resources:
  - {apiVersion: v1, kind: Namespace, metadata: {name: extra}}
  patches:
  - target: {kind: App, labelSelector: a=b}
    patch: '[{"op": "add", "path": "/spec/n", "value": 9007199254740993}]'
  - patch: |-
      {apiVersion: example.com/v1, kind: App, metadata: {name: web}, spec: {$patch: replace, list: []}}
`)
	f.Add("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n---\n---\nkind: Cluster\n")
	f.Fuzz(func(t *testing.T, text string) {
		files := validFleet()
		files["clusters/one.yaml"] = text
		check(t, files)
	})
}

// FuzzPatch compares any patch with what krusty makes of it.
func FuzzPatch(f *testing.F) {
	for seed := range uint64(20) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
		p := g.patch()
		kind := ""
		if p.Target != nil {
			kind = p.Target.Kind
		}
		f.Add(p.Patch, kind)
	}
	f.Fuzz(func(t *testing.T, text, kind string) {
		files, _ := (&generator{Rand: rand.New(rand.NewPCG(1, 1))}).fleet()
		// Text from a cluster file is UTF-8, because the YAML library refuses all else.
		text, kind = strings.ToValidUTF8(text, "?"), strings.ToValidUTF8(kind, "?")
		p := fleet.Patch{Patch: text}
		if kind != "" {
			p.Target = &fleet.Target{Kind: kind}
		}
		checkAgainstKustomize(t, files, &fleet.Cluster{Name: "c", Patches: []fleet.Patch{p}})
	})
}
