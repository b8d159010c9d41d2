package controller_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// step is one patch of a sequence.
type step struct {
	kind fleet.PatchType
	body string
}

var patchTypes = map[string]fleet.PatchType{
	"merge": fleet.MergePatch, "json": fleet.JSONPatch, "strategic": fleet.StrategicMergePatch,
}

// steps reads lines such as `merge {"spec": {"m": null}}`.
func steps(text string) []step {
	var all []step
	for line := range strings.Lines(text) {
		kind, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		if t, ok := patchTypes[kind]; ok {
			all = append(all, step{t, body})
		}
	}
	return all
}

// FuzzEdits patches an object through the controller and the renderer. The spec of the object is
// base on top of what the fleet repo has. It is patched by each line of text and then by the
// patches that data encodes. FuzzPatches of package edit checks the stored edit.
func FuzzEdits(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"m": {"a": 1, "b": {"c": 2}}}`, "merge {\"spec\": {\"m\": null}}\nmerge {\"spec\": {\"m\": {\"z\": 3}}}\nmerge {\"spec\": {\"m\": {\"b\": {\"d\": 1}}}}"},
		{`{"m": {"a": 1}}`, "merge {\"spec\": {\"m\": 5}}\nmerge {\"spec\": {\"m\": {\"a\": 1}}}"},
		{`{"m": 5}`, "merge {\"spec\": {\"m\": {\"a\": 1}}}\nmerge {\"spec\": {\"m\": {\"b\": null}}}"},
		{`{"l": [1, 2, 3]}`, "merge {\"spec\": {\"l\": [3]}}\njson [{\"op\": \"add\", \"path\": \"/spec/l/-\", \"value\": {\"x\": null}}]\nmerge {\"spec\": {\"l\": []}}"},
		{`{}`, `strategic {"spec": {"template": {"spec": {"containers": [{"name": "proxy", "$patch": "delete"}]}}}}`},
		{`{}`, "strategic {\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"name\": \"main\", \"image\": \"main:2\"}]}}}}\nmerge {\"spec\": {\"template\": {\"spec\": {\"containers\": null}}}}\nstrategic {\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"name\": \"new\", \"image\": \"new:1\"}]}}}}"},
		{`{}`, `strategic {"spec": {"template": {"$patch": "replace", "spec": {"nodeName": "n"}}}}`},
		{`{"a": {"b": 1}, "c": 2}`, "json [{\"op\": \"test\", \"path\": \"/spec/c\", \"value\": 2}, {\"op\": \"move\", \"from\": \"/spec/a\", \"path\": \"/spec/d\"}, {\"op\": \"copy\", \"from\": \"/spec/d/b\", \"path\": \"/spec/e\"}]\nmerge {\"spec\": {\"a\": {\"z\": null}}}\njson [{\"op\": \"remove\", \"path\": \"/spec/d\"}]"},
		{`{"a": {"b": 1}}`, `json [{"op": "replace", "path": "/spec/a", "value": {}}, {"op": "add", "path": "/spec/a/x~1y", "value": null}, {"op": "replace", "path": "/spec", "value": {"a": {"c": 1}}}]`},
		{`{"a": 1, "b": {"c": [2]}}`, `json [{"op": "replace", "path": "/spec/a", "value": 1}, {"op": "add", "path": "/spec/b/c/0", "value": 3}, {"op": "remove", "path": "/spec/b/c/0"}]`},
		{`{"b": 1, "c": 2}`, `json [{"op": "replace", "path": "", "value": {"apiVersion": "example.com/v1", "kind": "App", "metadata": {"name": "web"}, "spec": {"b": 1}}}]`},
		{`{}`, `json [{"op": "test", "path": "/spec/a", "value": null}, {"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}]`},
	} {
		f.Add(seed[0], seed[1], []byte{})
	}
	for i := range byte(8) {
		f.Add(`{"a": {"a": 1, "b": 2}, "b": [1]}`, "", bytes.Repeat([]byte{i, 3, i * 7, 1, 2, 0, 5, i}, 12))
	}
	s := newSource()
	s.put("main@1", acme("fleet.yaml", `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App, fields: {manifest: .}}
  - {name: deployments, kind: Deployment, fields: {manifest: .}}
  placement: [{selector: {}, overlay: base}]
`))
	r := start(f, s, nil)
	r.awaitRevision("main@1")
	repo, err := render.Renderer{}.Compile(f.Context(), s.next.Tree)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, base, text string, data []byte) {
		for _, object := range []string{"App/web", "Deployment/front"} {
			e := &editing{t: t, f: r.Controller, repo: repo, object: objectNamed(object)}
			if !e.begin(base) {
				return
			}
			for _, s := range steps(text) {
				e.step(s)
			}
			g := &generator{data: data, deployment: object == "Deployment/front"}
			for range 6 {
				if len(g.data) > 0 {
					e.step(g.step())
				}
			}
		}
	})
}

// editing is a sequence of patches of one object of cluster ann.
type editing struct {
	t      *testing.T
	f      *controller.Controller
	repo   fleet.Repo
	object fleet.ObjectName
	base   any // the object without its edit
}

// begin deletes earlier deltas and makes spec the base. It reports whether spec is valid.
func (e *editing) begin(spec string) bool {
	for _, id := range []string{fleet.OwnID("ann"), fleet.DeltaID("base")} {
		if _, err := e.f.DeleteDelta(e.t.Context(), ada, id); err != nil && !errors.Is(err, fleet.ErrNotFound) {
			e.t.Fatal(err)
		}
	}
	d, err := render.Renderer{}.ReadDelta(fmt.Appendf(nil, `{"name": "base", "clusters": ["ann"], "edits": [{"kind": %q, "name": %q, "patch": {"spec": %s}}]}`, e.object.Kind, e.object.Name, spec))
	if err != nil {
		return false
	}
	if _, err = e.f.PutDelta(e.t.Context(), ada, d); err != nil {
		return false
	}
	e.base = value(e.t, e.shown().JSON)
	return true
}

func (e *editing) shown() fleet.Object {
	e.t.Helper()
	v, err := e.f.View()
	if err != nil {
		e.t.Fatal(err)
	}
	m, err := v.Member("ann")
	if err != nil {
		e.t.Fatal(err)
	}
	o, err := v.Object(context.Background(), m, e.object)
	if err != nil {
		e.t.Fatal(err)
	}
	return o
}

// step patches the object. It checks that the result equals the object before with the patch
// applied, and that the stored edit turns the base into it. A refused patch changes nothing.
func (e *editing) step(s step) {
	e.t.Helper()
	before := e.shown()
	_, err := e.f.PatchObject(e.t.Context(), ada, "ann", e.object, fleet.ObjectPatch{Type: s.kind, Body: []byte(s.body)})
	after := e.shown()
	if err != nil {
		if !errors.Is(err, fleet.ErrInvalid) {
			e.t.Fatalf("%s: error %v, want none or %v", s, err, fleet.ErrInvalid)
		}
		if !bytes.Equal(after.JSON, before.JSON) {
			e.t.Fatalf("refused patch %s: object =\n%s\nwant\n%s", s, after.JSON, before.JSON)
		}
		return
	}
	got, want := value(e.t, after.JSON), e.applied(before, s)
	if !reflect.DeepEqual(got, want) {
		e.t.Fatalf("patch %s of\n%s\n=\n%s\nwant\n%v", s, before.JSON, after.JSON, want)
	}
	edit := e.edit()
	if made := mergePatch(e.base, edit); !reflect.DeepEqual(made, got) {
		e.t.Fatalf("after %s: edit %v of the base %v\n=\n%v\nwant the object\n%v", s, edit, e.base, made, got)
	}
}

// applied returns an object with a patch applied, without nulls, because no merge patch can set them.
func (e *editing) applied(o fleet.Object, s step) any {
	e.t.Helper()
	switch s.kind {
	case fleet.MergePatch:
		return mergePatch(value(e.t, o.JSON), value(e.t, []byte(s.body)))
	case fleet.JSONPatch:
		ops, err := jsonpatch.DecodePatch([]byte(s.body))
		if err != nil {
			e.t.Fatal(err)
		}
		after, err := ops.Apply(o.JSON)
		if err != nil {
			e.t.Fatal(err)
		}
		return withoutNulls(value(e.t, after))
	}
	after, err := e.repo.StrategicMerge(o, []byte(s.body))
	if err != nil {
		e.t.Fatal(err)
	}
	return withoutNulls(value(e.t, after))
}

// edit returns the stored edit.
func (e *editing) edit() any {
	e.t.Helper()
	v, err := e.f.View()
	if err != nil {
		e.t.Fatal(err)
	}
	d, err := v.Delta(fleet.OwnID("ann"))
	if err != nil || len(d.Edits) != 1 {
		e.t.Fatalf("own delta = %+v, %v, want one edit", d, err)
	}
	return value(e.t, d.Edits[0].Patch)
}

// mergePatch is the algorithm of RFC 7386.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := map[string]any{}
	if old, ok := target.(map[string]any); ok {
		out = maps.Clone(old)
	}
	for key, value := range changes {
		if value == nil {
			delete(out, key)
		} else {
			out[key] = mergePatch(out[key], value)
		}
	}
	return out
}

// withoutNulls removes keys with the value null from mappings. It leaves lists alone.
func withoutNulls(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for key, child := range m {
		if child == nil {
			delete(m, key)
		} else {
			m[key] = withoutNulls(child)
		}
	}
	return m
}

// value decodes JSON and keeps numbers as they are written.
func value(t *testing.T, data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

// generator makes small patches from bytes. The same few keys appear often.
type generator struct {
	data       []byte
	deployment bool
}

func (g *generator) next(n int) int {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b) % n
}

func (g *generator) key() string { return string(rune('a' + g.next(3))) }

func (g *generator) value(depth int) any {
	switch n := g.next(8); {
	case n == 0:
		return nil
	case n == 1:
		return g.next(3)
	case n == 2:
		return []any{g.key(), map[string]any{g.key(): nil}}
	case n == 3 || depth == 0:
		return "leaf"
	}
	return g.mapping(depth - 1)
}

func (g *generator) mapping(depth int) map[string]any {
	m := map[string]any{}
	for range g.next(4) {
		m[g.key()] = g.value(depth)
	}
	return m
}

func (g *generator) step() step {
	switch g.next(3) {
	case 0:
		return newStep(fleet.MergePatch, map[string]any{"spec": g.spec()})
	case 1:
		var ops []any
		for range 1 + g.next(3) {
			ops = append(ops, g.operation())
		}
		return newStep(fleet.JSONPatch, ops)
	}
	return newStep(fleet.StrategicMergePatch, map[string]any{"spec": g.spec()})
}

func (g *generator) spec() map[string]any {
	spec := g.mapping(3)
	if g.deployment && g.next(2) == 0 {
		spec["template"] = map[string]any{"spec": map[string]any{"containers": g.containers()}}
	}
	return spec
}

func (g *generator) containers() any {
	list := []any{}
	for range g.next(3) {
		c := map[string]any{"name": []string{"main", "proxy", "new"}[g.next(3)]}
		switch g.next(3) {
		case 0:
			c["$patch"] = "delete"
		case 1:
			c["image"] = g.key()
		}
		list = append(list, c)
	}
	return list
}

func (g *generator) operation() map[string]any {
	op := map[string]any{"op": []string{"add", "remove", "replace", "move", "copy", "test"}[g.next(6)], "path": g.path()}
	switch op["op"] {
	case "add", "replace", "test":
		op["value"] = g.value(2)
	case "move", "copy":
		op["from"] = g.path()
	}
	return op
}

func (g *generator) path() string {
	path := "/spec"
	if g.deployment && g.next(2) == 0 {
		path += "/template/spec/containers"
	}
	for range g.next(4) {
		path += "/" + []string{"a", "b", "c", "0", "-", "image"}[g.next(6)]
	}
	return path
}

func newStep(kind fleet.PatchType, v any) step {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // v consists of plain values
	}
	return step{kind, string(body)}
}
