package render

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// TestStrategicMergeIsKustomizes compares with krusty's build of the one object and the
// patch. StrategicMerge refuses what krusty deletes, renames or leaves half done.
func TestStrategicMergeIsKustomizes(t *testing.T) {
	t.Parallel()
	const cases = 15
	var merged atomic.Int64
	forSeeds(t, cases, func(t *testing.T, seed uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 10))}
		files, _ := g.fleet()
		repo := compiled(t, files)
		rendering, problems := repo.Render(context.Background(), &fleet.Cluster{Name: "c"}, nil, nil)
		if rendering == nil {
			if strings.Contains(problems.Error(), "beyond") {
				return
			}
			t.Fatal(problems)
		}
		patch := g.mergeOf("PlatformComponent", g.name("keda"))
		if g.chance(60) {
			patch = g.builtin()
		}
		for _, o := range rendering.Objects() {
			got, err := repo.StrategicMerge(o, []byte(patch))
			want := mergedByKrusty(t, o, patch)
			if want == "" && err == nil || want != "" && string(got) != want {
				t.Fatalf("StrategicMerge(%s, %s) = %s, %v, want %s", o.JSON, patch, got, err, want)
			}
			if want != "" {
				merged.Add(1)
			}
		}
	})
	t.Logf("%d merged", merged.Load())
	if merged.Load() < cases/4 {
		t.Errorf("only %d patches were merged", merged.Load())
	}
}

// mergedByKrusty returns "" where krusty has an error, deletes the object, or leaves a
// directive in place.
func mergedByKrusty(t *testing.T, o fleet.Object, patch string) string {
	t.Helper()
	text, err := kustomize.BlockStyle(o.JSON)
	if err != nil {
		t.Fatal(err)
	}
	fsys := filesys.MakeFsInMemory()
	if err := fsys.WriteFile("/one/object.yaml", text); err != nil {
		t.Fatal(err)
	}
	m, err := krustyBuild(fsys, "/one", map[string]any{
		"resources": []string{"object.yaml"}, "patches": []any{map[string]any{"patch": patch}},
	})
	if err != nil || m.Size() == 0 {
		return ""
	}
	data, err := m.Resources()[0].MarshalJSON()
	if err != nil || strings.Contains(string(data), `"$patch"`) {
		return ""
	}
	value, err := yamltext.DecodeJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	data, _ = yamltext.EncodeJSON(value)
	return string(data)
}

const deployment = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{"image":"a:1","name":"app"},{"image":"s:1","name":"side"}]}}}}`

func TestStrategicMerge(t *testing.T) {
	t.Parallel()
	web := fleet.Object{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", JSON: []byte(deployment)}
	app := fleet.Object{APIVersion: "example.com/v1", Kind: "App", Namespace: "edge", Name: "a",
		JSON: []byte(`{"apiVersion":"example.com/v1","kind":"App","metadata":{"name":"a","namespace":"edge"},"spec":{"l":[{"name":"a","x":1},{"name":"b"}]}}`)}
	for name, c := range map[string]struct {
		object      fleet.Object
		patch, want string
	}{
		"remove a container": {web, `spec: {template: {spec: {containers: [{name: side, $patch: delete}]}}}`,
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{"image":"a:1","name":"app"}]}}}}`},
		"change one, in JSON": {web, `{"metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{"name":"app","image":"a:2"}]}}}}`,
			strings.Replace(deployment, "a:1", "a:2", 1)},
		"lists of unknown kinds": {app, "spec: {l: [{name: a, y: 2}]}",
			`{"apiVersion":"example.com/v1","kind":"App","metadata":{"name":"a","namespace":"edge"},"spec":{"l":[{"name":"a","y":2}]}}`},
		"left over":   {app, "spec: {l: [{name: a, $patch: delete}]}", `spec.l[0].$patch: kustomize has left this directive in place`},
		"delete":      {web, "$patch: delete", "deletes Deployment/web; to do that, DELETE the object"},
		"other name":  {web, "metadata: {name: api}", `metadata.name: the object has "web" here`},
		"other kind":  {web, "kind: StatefulSet", `kind: the object has "Deployment" here`},
		"other place": {app, "metadata: {namespace: core}", `metadata.namespace: the object has "edge" here`},
		"no place":    {web, "metadata: {namespace: core}", `metadata.namespace: the object has "" here`},
		"no metadata": {web, "metadata: ~", "metadata: must be a mapping"},
		"a list":      {web, "[]", "must be a mapping of keys to values, is a list"},
		"nothing":     {web, "", "must have one document, has 0"},
		"mistyped":    {web, "spec: {template: text}", "wrong node kind"},
		"deep":        {web, strings.Repeat("{a: ", 300) + "1" + strings.Repeat("}", 300), "is nested more than 200 levels deep"},
		"nul":         {web, `spec: {a: "\0"}`, "spec.a: has a character that cannot be stored"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&Repo{}).StrategicMerge(c.object, []byte(c.patch))
			if text := string(got) + fmt.Sprint(err); !strings.Contains(text, c.want) || (err == nil) != strings.HasPrefix(c.want, "{") {
				t.Errorf("StrategicMerge(%s) = %s, %v, want %s", c.patch, got, err, c.want)
			}
		})
	}
}
