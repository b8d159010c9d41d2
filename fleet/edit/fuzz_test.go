package edit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/tributary-gitops/tributary/fleet"
)

// step is one patch of a sequence.
type step struct {
	kind fleet.PatchType
	body string
}

// steps parses lines such as `merge {"spec": {"m": null}}`.
func steps(text string) []step {
	var all []step
	for line := range strings.Lines(text) {
		kind, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind := fleet.PatchType(kind); kind {
		case fleet.MergePatch, fleet.JSONPatch, fleet.StrategicMergePatch:
			all = append(all, step{kind, body})
		}
	}
	return all
}

// FuzzPatches patches an object, whose spec is base on top of what the cluster has, by each line
// of text and then by the patches that data encodes.
func FuzzPatches(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, base, text string, data []byte) {
		for object, document := range objects {
			p, ok := newPatching(t, object, document, base)
			if !ok {
				return
			}
			p.run(text, data)
		}
	})
}

// objects are those that are patched.
var objects = map[string]string{"App/web": web, "Deployment/front": front}

func addSeeds(f *testing.F) {
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
}

// patching is a sequence of patches of one object.
type patching struct {
	patched
	t      *testing.T
	object string
	base   any // the object without its edit
}

// patched is the cluster that has the object.
type patched interface {
	shown(object string) string
	patch(object string, kind fleet.PatchType, body string) error
	ownDelta() *fleet.Delta
	strategicMerge(o fleet.Object, patch []byte) ([]byte, error)
}

// newPatching returns a cluster with one object, whose spec is merged with that one. It reports
// false where the spec is not JSON that a cluster's object can have.
func newPatching(t *testing.T, object, document, spec string) (*patching, bool) {
	if !json.Valid([]byte(spec)) || strings.Contains(spec, `\u0000`) {
		return nil, false
	}
	base := mergePatch(decode(t, []byte(document)), map[string]any{"spec": decode(t, []byte(spec))})
	return &patching{newCluster(t, string(fleet.EncodeJSON(base))), t, object, base}, true
}

// run patches the object by each line of text, and then by the patches that data encodes.
func (p *patching) run(text string, data []byte) {
	p.t.Helper()
	for _, s := range steps(text) {
		p.step(s)
	}
	g := &generator{data: data, deployment: p.object == "Deployment/front"}
	for range 6 {
		if len(g.data) > 0 {
			p.step(g.step())
		}
	}
}

// step patches the object and checks three things: the object is what it was before with the patch
// applied, the edit that is kept makes it of the base, and the edit has all that the patch names.
// A patch that is refused changes nothing.
func (p *patching) step(s step) {
	p.t.Helper()
	before := fleet.ObjectOf([]byte(p.shown(p.object)))
	err := p.patch(p.object, s.kind, s.body)
	after := p.shown(p.object)
	if err != nil {
		if !errors.Is(err, fleet.ErrInvalid) {
			p.t.Fatalf("%s: error %v, want none or %v", s, err, fleet.ErrInvalid)
		}
		if after != string(before.JSON) {
			p.t.Fatalf("%s was refused, and made\n%s\nof\n%s", s, after, before.JSON)
		}
		return
	}
	got, want := decode(p.t, []byte(after)), p.applied(before, s)
	if !reflect.DeepEqual(got, want) {
		p.t.Fatalf("%s made of\n%s\nthis:\n%s\nwant\n%v", s, before.JSON, after, want)
	}
	own := p.ownDelta()
	if own == nil || len(own.Edits) != 1 {
		p.t.Fatalf("own delta = %+v, want one edit", own)
	}
	edit := decode(p.t, own.Edits[0].Patch)
	if made := mergePatch(p.base, edit); !reflect.DeepEqual(made, got) {
		p.t.Fatalf("after %s the edit %v makes of the base %v this:\n%v\nand the object is\n%v", s, edit, p.base, made, got)
	}
	p.wantNamed(s, edit)
}

// applied returns an object with a patch, without nulls, because no merge patch can set them.
func (p *patching) applied(o fleet.Object, s step) any {
	p.t.Helper()
	var after []byte
	var err error
	switch s.kind {
	case fleet.MergePatch:
		return mergePatch(decode(p.t, o.JSON), decode(p.t, []byte(s.body)))
	case fleet.JSONPatch:
		var operations jsonpatch.Patch
		if operations, err = jsonpatch.DecodePatch([]byte(s.body)); err == nil {
			after, err = operations.Apply(o.JSON)
		}
	default:
		after, err = p.strategicMerge(o, []byte(s.body))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return withoutNulls(decode(p.t, after))
}

func (p *patching) wantNamed(s step, edit any) {
	p.t.Helper()
	patch := decode(p.t, []byte(s.body))
	switch s.kind {
	case fleet.MergePatch: // on any other base the edit has the same effect
		for _, base := range []any{map[string]any{}, decode(p.t, []byte(`{"spec": {"a": {"a": 7}, "m": 7}}`))} {
			made := mergePatch(base, edit)
			if again := mergePatch(made, withoutIdentity(patch)); !reflect.DeepEqual(again, made) {
				p.t.Fatalf("the edit %v lacks some of %s", edit, s)
			}
		}
	case fleet.JSONPatch:
		ops := patch.([]any)
		for i, op := range ops {
			op := op.(map[string]any)
			path, _ := op["path"].(string)
			if op["op"] == "test" || anyUnder(ops[i+1:], path) || strings.HasPrefix(path, "/metadata") {
				continue
			}
			if _, whole := op["value"].(map[string]any); path == "" {
				if whole && !holdsAll(edit, withoutIdentity(op["value"])) {
					p.t.Fatalf("the edit %v lacks some of %s", edit, s)
				}
				continue
			}
			if !holds(edit, strings.Split(path, "/")[1:]) {
				p.t.Fatalf("the edit %v lacks %s of %s", edit, path, s)
			}
		}
	default:
		if !holdsAll(edit, withoutIdentity(patch)) {
			p.t.Fatalf("the edit %v lacks some of %s", edit, s)
		}
	}
}

// anyUnder reports whether a later operation sets a path, or an object that contains it, again.
func anyUnder(ops []any, path string) bool {
	for _, op := range ops {
		later, _ := op.(map[string]any)["path"].(string)
		if strings.HasPrefix(path+"/", later+"/") {
			return true
		}
	}
	return false
}

// holds reports whether a merge patch says what is at a path of a JSON pointer.
func holds(edit any, path []string) bool {
	for _, key := range path {
		m, ok := edit.(map[string]any)
		if !ok {
			return true // a value that contains the path is set
		}
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		if edit, ok = m[key]; !ok {
			return false
		}
	}
	return true
}

// holdsAll reports whether a merge patch holds all that another patch has, except directives.
func holdsAll(edit, patch any) bool {
	named, ok := patch.(map[string]any)
	if !ok {
		return true
	}
	m, ok := edit.(map[string]any)
	if !ok {
		return true
	}
	for key, below := range named {
		if strings.HasPrefix(key, "$") {
			continue
		}
		if v, ok := m[key]; !ok || !holdsAll(v, below) {
			return false
		}
	}
	return true
}

// withoutIdentity returns a patch without the fields that identify the object, which no edit keeps.
func withoutIdentity(patch any) any {
	m := mergePatch(patch, decode(nil, []byte(`{"apiVersion": null, "kind": null, "metadata": {"name": null, "namespace": null}}`)))
	if meta, ok := m.(map[string]any)["metadata"].(map[string]any); ok && len(meta) == 0 {
		delete(m.(map[string]any), "metadata")
	}
	return m
}

// withoutNulls removes keys whose value is null, except those of objects in lists.
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

// generator makes small patches from bytes. The same few keys occur often.
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

func newStep(kind fleet.PatchType, v any) step { return step{kind, string(fleet.EncodeJSON(v))} }
