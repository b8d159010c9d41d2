// Package hostiletest makes fleet repos that would take all time or memory there is, if
// rendering them were not bounded.
//
//	for _, tree := range hostiletest.Trees(100) {
//		// tree.Files must end with a fault, or be rendered, in bounded time and memory.
//	}
//
// Trees are the same for the same number.
package hostiletest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing/fstest"
)

// Tree is a hostile fleet repo.
type Tree struct {
	Name  string
	Files fstest.MapFS
	// Valid reports that it is only large, and must be rendered.
	Valid bool
}

// kind makes trees of one kind.
type kind struct {
	name  string
	valid bool
	make  func(r *rand.Rand, files fstest.MapFS)
}

// Trees returns n trees, of each kind in turn.
func Trees(n int) []Tree {
	trees := make([]Tree, n)
	for i := range trees {
		k, r := kinds[i%len(kinds)], rand.New(rand.NewPCG(1, uint64(i)))
		files := Small()
		k.make(r, files)
		trees[i] = Tree{fmt.Sprintf("%02d %s", i, k.name), files, k.valid}
	}
	return trees
}

// Small returns a harmless fleet repo of one cluster. Its input set has a schema.
func Small() fstest.MapFS {
	files := fstest.MapFS{}
	put(files, "fleet.yaml", `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App, schema: s.json}
  placement:
  - {selector: {}, overlay: base}
`)
	put(files, "s.json", `{"type": "object"}`)
	put(files, "clusters/one.yaml", "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\nspec: {dns: one.example.com}\n")
	kustomization(files, "")
	put(files, "base/all.yaml", apps(3))
	return files
}

var kinds = []kind{
	{"schema that combines", false, func(r *rand.Rand, files fstest.MapFS) {
		next := `{"$ref": "#/$defs/aNEXT"}`
		pair := list(2+r.IntN(3), next)
		level := pick(r, `{"allOf": [`+pair+`]}`, `{"anyOf": [`+pair+`]}`, `{"oneOf": [`+pair+`]}`, `{"if": `+next+`, "then": `+next+`, "else": `+next+`}`,
			`{"not": {"allOf": [`+pair+`]}}`, `{"dependentSchemas": {"a": `+next+`, "id": `+next+`}}`)
		put(files, "s.json", levels(16+r.IntN(14), level, pick(r, `{"minProperties": 1}`, `false`, `{"type": "string"}`)))
	}},
	{"schema of a deep value", false, func(r *rand.Rand, files fstest.MapFS) {
		depth := 30 + r.IntN(60)
		next := `{"$ref": "#/$defs/aNEXT"}`
		level := pick(r, `{"patternProperties": {"^a": `+next+`, "a$": `+next+`}}`, `{"properties": {"a": `+next+`}, "additionalProperties": `+next+`, "allOf": [{"properties": {"a": `+next+`}}]}`)
		put(files, "s.json", levels(depth, level, `{"type": "boolean"}`))
		put(files, "base/all.yaml", app(0, strings.Repeat("{a: ", depth)+"1"+strings.Repeat("}", depth)))
	}},
	{"schema of many parts", false, func(r *rand.Rand, files fstest.MapFS) {
		n := 20_000 + r.IntN(20_000)
		put(files, "s.json", pick(r, `{"allOf": [`+list(n, `{"type": "object"}`)+`]}`, `{"properties": {`+strings.TrimSuffix(strings.Repeat(`"k": [[{}]], `, n), ", ")+`, "x": 5}}`,
			strings.Repeat(`{"not": `, n/8)+`{}`+strings.Repeat(`}`, n/8), `{"$ref": "#/a", "a": `+strings.Repeat(`{"items": `, 5_000)+`{}`+strings.Repeat(`}`, 5_000)+`}`))
	}},
	{"schema of a wide value", false, func(r *rand.Rand, files fstest.MapFS) {
		put(files, "s.json", levels(10+r.IntN(8), `{"allOf": [{"$ref": "#/$defs/aNEXT"}, {"$ref": "#/$defs/aNEXT"}], "unevaluatedProperties": true}`, `{"propertyNames": {"pattern": "^(k|kk){9}[0-9]*$"}}`))
		var b strings.Builder
		for i := range 5_000 + r.IntN(3_000) {
			fmt.Fprintf(&b, "  k%d: %d\n", i, i)
		}
		put(files, "base/all.yaml", app(0, "\n"+b.String()))
	}},
	{"schema of numbers and patterns", false, func(r *rand.Rand, files fstest.MapFS) {
		put(files, "s.json", pick(r, `{"multipleOf": 1e-99999999}`, `{"properties": {"a": {"pattern": "(abcdefgh){900}(abcdefgh){90}"}}}`,
			`{"properties": {"a": {"pattern": "`+strings.Repeat("(a|b)*", 5_000)+`"}}}`, `{"allOf": [`+list(4_000, `{"enum": [`+list(50, "0.5")+`]}`)+`]}`))
	}},
	{"regular expression of a cluster", false, func(r *rand.Rand, files fstest.MapFS) {
		field := pick(r, "name", "kind", "namespace", "group", "version")
		clusterPatches(files, fmt.Sprintf("  - {target: {%s: '%s'}, patch: '[]'}\n", field, expression(r)))
	}},
	{"regular expression of an overlay", false, func(r *rand.Rand, files fstest.MapFS) {
		kustomization(files, pick(r, "patches:\n- {target: {kind: '%s'}, patch: '[]'}\n", "images:\n- {name: '%s', newTag: v1}\n",
			"replacements:\n- {source: {kind: App, name: a0}, targets: [{select: {name: '%s'}, fieldPaths: [spec.a]}]}\n"), expression(r))
	}},
	{"copies in a JSON patch", false, func(r *rand.Rand, files fstest.MapFS) {
		var ops []string
		for i := range 30 + r.IntN(200) {
			ops = append(ops, fmt.Sprintf(`{"op": "copy", "from": "/spec", "path": "/spec/x%d"}`, i))
		}
		patch := "{target: {kind: App}, patch: '[" + strings.Join(ops, ", ") + "]'}\n"
		if r.IntN(2) == 0 {
			clusterPatches(files, "  - "+patch)
		} else {
			kustomization(files, "patches:\n- %s", patch)
		}
	}},
	{"aliases", false, func(r *rand.Rand, files fstest.MapFS) {
		var b strings.Builder
		b.WriteString("x0: &x0 [a, a, a, a, a, a, a, a, a]\n")
		for i := range 8 + r.IntN(20) {
			fmt.Fprintf(&b, "x%d: &x%d [%s]\n", i+1, i+1, list(9, fmt.Sprintf("*x%d", i)))
		}
		file := pick(r, "base/all.yaml", "clusters/one.yaml", "fleet.yaml", "base/kustomization.yaml")
		put(files, file, string(files[file].Data)+b.String())
	}},
	{"shapes of YAML", false, func(r *rand.Rand, files fstest.MapFS) {
		n := 20_000 + r.IntN(50_000)
		put(files, "base/all.yaml", app(0, pick(r, "{"+strings.Repeat("a: {", n)+strings.Repeat("}", n)+"}", strings.Repeat("\n  k: 1", n), "\n  l:"+strings.Repeat("\n  - {name: a}", n), strings.Repeat("[", n))))
	}},
	{"overlays that double", false, func(r *rand.Rand, files fstest.MapFS) {
		n := 13 + r.IntN(20)
		for i := range n {
			put(files, fmt.Sprintf("base/l%d/kustomization.yaml", i), fmt.Sprintf("resources: [../l%d, ../l%d]\nnamePrefix: x-\n", i+1, i+1))
		}
		put(files, fmt.Sprintf("base/l%d/kustomization.yaml", n), "resources: [../all.yaml]\n")
		put(files, "base/kustomization.yaml", "resources: [l0]\n")
	}},
	{"patches of many objects", false, func(r *rand.Rand, files fstest.MapFS) {
		put(files, "base/all.yaml", apps(500+r.IntN(3_000)))
		patch := "{target: {kind: App}, patch: '[{\"op\": \"add\", \"path\": \"/spec/x\", \"value\": 1}]'}\n"
		if r.IntN(2) == 0 {
			kustomization(files, "patches:\n%s", strings.Repeat("- "+patch, 300+r.IntN(4_000)))
		} else {
			put(files, "base/all.yaml", apps(500))
			clusterPatches(files, strings.Repeat("  - "+patch, 500))
		}
	}},
	{"levels of many objects", false, func(r *rand.Rand, files fstest.MapFS) {
		put(files, "base/all.yaml", apps(3_000+r.IntN(900)))
		kustomization(files, "")
		n := 20 + r.IntN(30)
		below := "../base"
		for i := range n {
			put(files, fmt.Sprintf("l%d/kustomization.yaml", i), "resources: ["+below+"]\nnamespace: x\n")
			below = fmt.Sprintf("../l%d", i)
		}
		put(files, "fleet.yaml", strings.Replace(string(files["fleet.yaml"].Data), "overlay: base", fmt.Sprintf("overlay: l%d", n-1), 1))
	}},
	{"many objects", true, func(r *rand.Rand, files fstest.MapFS) {
		put(files, "base/all.yaml", apps(1_000+r.IntN(500)))
		kustomization(files, "namespace: x\n")
	}},
}

func put(files fstest.MapFS, name, text string) { files[name] = &fstest.MapFile{Data: []byte(text)} }

func kustomization(files fstest.MapFS, format string, args ...any) {
	put(files, "base/kustomization.yaml", "resources: [all.yaml]\n"+fmt.Sprintf(format, args...))
}

func clusterPatches(files fstest.MapFS, patches string) {
	put(files, "clusters/one.yaml", "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\nspec:\n  patches:\n"+patches)
}

func app(i int, spec string) string {
	return fmt.Sprintf("---\napiVersion: example.com/v1\nkind: App\nmetadata: {name: a%d}\nspec: %s\n", i, spec)
}

func apps(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(app(i, "{a: b}"))
	}
	return b.String()
}

func expression(r *rand.Rand) string {
	return pick(r, "(a|"+strings.Repeat("b", 1_000_000+r.IntN(2_000_000))+")", "(abcdefgh){999}", strings.Repeat("(a|b)*", 1_000+r.IntN(5_000)), "([a-z]{30}){33}")
}

// levels returns a schema of n levels, in each of which NEXT stands for the number of the next.
func levels(n int, level, last string) string {
	var b strings.Builder
	b.WriteString(`{"$ref": "#/$defs/a0", "$defs": {`)
	for i := range n {
		fmt.Fprintf(&b, `"a%d": %s, `, i, strings.ReplaceAll(level, "NEXT", fmt.Sprint(i+1)))
	}
	fmt.Fprintf(&b, `"a%d": %s}}`, n, last)
	return b.String()
}

func list(n int, of string) string { return strings.TrimSuffix(strings.Repeat(of+", ", n), ", ") }

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }
