package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// generated is a delta as an author has it: resources are the YAML that was
// written, which kustomize is given as it is.
type generated struct {
	name       string
	components []string
	resources  []string
	patches    []fleet.Patch
	edits      []fleet.Edit
}

// components are what the deltas of generated fleets may name, beside the one
// that all clusters have.
var components = map[string]string{
	"extra/kustomization.yaml":   "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [all.yaml]\n",
	"extra/all.yaml":             "apiVersion: platform.example.com/v1\nkind: PlatformComponent\nmetadata: {name: gpu}\nspec: {values: {y: yes}}\n",
	"tune/kustomization.yaml":    "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: PlatformComponent}\n  patch: '[{\"op\": \"add\", \"path\": \"/spec/tuned\", \"value\": 1.0}]'\n",
	"clash/kustomization.yaml":   "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [../extra/all.yaml]\n",
	"missing/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- patch: '{apiVersion: v1, kind: Namespace, metadata: {name: absent}, spec: {a: b}}'\n",
}

// delta makes one whose parts mostly apply, and now and then do not.
func (g *generator) delta(name string) generated {
	d := generated{name: name}
	if g.chance(35) {
		d.components = append(d.components, g.one("extra", "tune", "component"))
	}
	if g.chance(3) {
		d.components = append(d.components, g.one("clash", "missing"))
	}
	if g.chance(25) {
		d.resources = append(d.resources, g.deltaResource())
	}
	for range max(0, g.IntN(3)-1) {
		d.patches = append(d.patches, g.patch())
	}
	for range g.IntN(3) {
		d.edits = append(d.edits, g.edit())
	}
	return d
}

// deltaResource is a resource other than a list.
func (g *generator) deltaResource() string {
	for {
		if text := g.resource(); !strings.Contains(text, "List") {
			return text
		}
	}
}

func (g *generator) edit() fleet.Edit {
	e := fleet.Edit{Kind: "PlatformComponent", Name: g.name(g.one("keda", "traefik", "loki"))}
	switch g.IntN(40) {
	case 0:
		e.Kind, e.Name = "Deployment", g.name("web")
	case 1:
		e.Name = g.one("own", "gpu", "absent")
	case 4, 5, 6:
		e.Kind, e.Name = "PodDisruptionBudget", g.name("budget")
	case 2:
		e.Kind, e.Name = "ServiceAccount", g.one("robot", g.name("robot"))
	case 3:
		e.Kind, e.Name = "Namespace", g.one("extra", g.name("team"))
	}
	if e.Kind == "PlatformComponent" && g.chance(30) {
		e.Namespace = g.namespace
	}
	if g.chance(4) {
		e.Namespace = "elsewhere"
	}
	if e.Kind == "PlatformComponent" && g.chance(20) {
		e.Group = "platform.example.com"
	}
	if g.chance(2) {
		e.Group = "apps"
	}
	e.Patch = json.RawMessage(g.one(
		`{"spec":{"values":{"replicaCount":7}}}`,
		`{"spec":{"values":{"nested":null,"ports":[1,{"a":"b"}],"new":{"a":{"b":1}}}}}`,
		`{"spec":{"values":{"nested":{"deep":"scalar now","gone":null}}}}`,
		`{"spec":{"values":{"list":{"a":1}}}}`, `{"spec":{"values":"text"}}`,
		`{"spec":{"template":{"spec":{"containers":[{"image":"app:9","name":"app"}]}}}}`,
		`{"metadata":{"labels":{"edited":"yes","tier":null}}}`, `{"metadata":{"annotations":{"a":"b"}}}`,
		`{"spec":{"values":{"big":9007199254740993}}}`, `{"spec":{"values":{"source":{}}}}`, `{}`,
	))
	if g.chance(5) {
		e.Patch = json.RawMessage("null")
	}
	return e
}

// document is the delta as its author writes it.
func (d generated) document() string {
	head := map[string]any{"name": d.name, "clusters": []string{"c"}, "components": d.components, "patches": d.patches, "edits": d.edits}
	data, _ := json.Marshal(head)
	var resources []string
	for _, text := range d.resources {
		text = "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
		resources = append(resources, "\n- "+strings.TrimPrefix(text, "  "))
	}
	var b strings.Builder
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(data, &fields)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "%s: %s\n", key, fields[key])
	}
	if len(resources) > 0 {
		fmt.Fprintf(&b, "resources: %s\n", strings.Join(resources, ""))
	}
	return b.String()
}

func readAll(t *testing.T, deltas []generated) []*fleet.Delta {
	t.Helper()
	var out []*fleet.Delta
	for _, d := range deltas {
		read, err := Renderer{}.ReadDelta([]byte(d.document()))
		if err != nil {
			t.Fatalf("%v\n%s", err, d.document())
		}
		out = append(out, read)
	}
	return out
}
