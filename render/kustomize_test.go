package render

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// TestClusterGetsWhatKustomizeBuilds checks promise 7: whatever the overlay does to names
// and namespaces, and whatever the cluster's resources and patches are, a cluster's
// objects are those of `kustomize build`. The build is run here by krusty on a file
// system of kustomize's own.
func TestClusterGetsWhatKustomizeBuilds(t *testing.T) {
	t.Parallel()
	cases := 250
	if testing.Short() {
		cases = 60
	}
	var fast, faults atomic.Int64
	forSeeds(t, cases, func(t *testing.T, seed uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 7))}
		files, cluster := g.fleet()
		switch repo := checkAgainstKustomize(t, files, cluster); {
		case repo == nil:
			faults.Add(1)
		case isFast(t, repo, cluster):
			fast.Add(1)
		}
	})
	t.Logf("%d of %d rendered fast, %d faults", fast.Load(), cases, faults.Load())
	if int(fast.Load()) < cases/5 || int(faults.Load()) < cases/50 || int(faults.Load()) > cases/2 {
		t.Errorf("the generated clusters no longer cover what they should: %d of %d rendered fast, %d faults", fast.Load(), cases, faults.Load())
	}
}

// TestDeltasAreWhatKustomizeBuilds checks promise 7 for deltas: their components,
// resources and patches mean what they mean to kustomize, and their edits are RFC 7386 on
// what kustomize has built.
func TestDeltasAreWhatKustomizeBuilds(t *testing.T) {
	t.Parallel()
	const cases = 25
	var faults atomic.Int64
	forSeeds(t, cases, func(t *testing.T, seed uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 8))}
		files, cluster := g.fleet()
		if checkAgainstKustomize(t, files, cluster, g.delta("one"), g.delta("two")) == nil {
			faults.Add(1)
		}
	})
	t.Logf("%d of %d have faults", faults.Load(), cases)
	if faults.Load() < cases/10 || faults.Load() > cases*3/4 {
		t.Errorf("%d of %d generated deltas have faults", faults.Load(), cases)
	}
}

// forSeeds runs a property for each of n seeds, in parallel, and waits. The name of a
// subtest is its seed.
func forSeeds(t *testing.T, n int, property func(t *testing.T, seed uint64)) {
	t.Helper()
	t.Run("seed", func(t *testing.T) {
		for seed := range uint64(n) {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				property(t, seed)
			})
		}
	})
}

// objectsOf returns the objects that Render makes inputs from. The contract with Flux
// Operator, which kustomize knows nothing about, is not checked yet.
func objectsOf(t *testing.T, r *Repo, c *fleet.Cluster, deltas []*fleet.Delta) ([]string, fleet.Problems) {
	t.Helper()
	if problems := r.Problems().Faults(); len(problems) > 0 {
		t.Fatal(problems)
	}
	p, _ := r.place(c)
	parts := partsOf(c, deltaParts(deltas))
	s, problems := r.stackOf(context.Background(), p.with(parts.components), c, parts)
	if s == nil {
		return nil, problems
	}
	objects, problems := newJob(r, s, c).objects(parts)
	var out []string
	for _, o := range objects {
		out = append(out, canonical(o.Text()))
	}
	return out, problems
}

// checkAgainstKustomize compares the objects of a cluster with krusty's, and returns nil
// where both find a fault.
func checkAgainstKustomize(t *testing.T, files map[string]string, c *fleet.Cluster, deltas ...generated) *Repo {
	t.Helper()
	want, wantErr := expectedObjects(files, c, deltas)
	repo := compiled(t, files)
	got, problems := objectsOf(t, repo, c, readAll(t, deltas))
	if (wantErr != nil) != (len(problems.Faults()) > 0) {
		t.Fatalf("kustomize says %v, Tributary says %v\n%s", wantErr, problems, show(files, c, deltas))
	}
	if wantErr != nil {
		return nil
	}
	if !slices.Equal(got, want) {
		t.Fatalf("objects = \n%s\nwant\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), show(files, c, deltas))
	}
	return repo
}

func compiled(t *testing.T, files map[string]string) *Repo {
	t.Helper()
	repo, err := Renderer{}.Compile(context.Background(), mapFS(files))
	if err != nil {
		t.Fatal(err)
	}
	return repo.(*Repo)
}

func newJob(r *Repo, s *stack, c *fleet.Cluster) *renderJob {
	return &renderJob{ctx: context.Background(), repo: r, stack: s, cluster: c, current: &renderCache{}}
}

func isFast(t *testing.T, r *Repo, c *fleet.Cluster) bool {
	t.Helper()
	p, _ := r.place(c)
	j := newJob(r, r.stacks[p.key], c)
	patches, problems := j.readPatches(partsOf(c, nil).patches)
	if problems != nil {
		t.Fatal(problems)
	}
	_, _, err := j.renderFast(partsOf(c, nil), patches)
	return err == nil
}

// expectedObjects returns what the documentation of the fleet repo promises for a
// cluster: two builds, and then the edits.
func expectedObjects(files map[string]string, c *fleet.Cluster, deltas []generated) ([]string, error) {
	fsys := filesys.MakeFsInMemory()
	for name, text := range files {
		if err := fsys.WriteFile("/repo/"+name, []byte(text)); err != nil {
			return nil, err
		}
	}
	components := []string{"../repo/component"}
	resources, patches, edits := c.Resources, c.Patches, []fleet.Edit(nil)
	for _, d := range deltas {
		for _, name := range d.components {
			if name = "../repo/" + name; !slices.Contains(components, name) {
				components = append(components, name)
			}
		}
		for _, text := range d.resources {
			resources = append(resources[:len(resources):len(resources)], fleet.Resource{YAML: text})
		}
		patches = append(patches[:len(patches):len(patches)], d.patches...)
		edits = append(edits, d.edits...)
	}
	built, err := twoBuilds(fsys, components, resources, patches)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range built.Resources() {
		data, err := r.MarshalJSON()
		if err != nil {
			return nil, err
		}
		out = append(out, canonical(data))
	}
	return editAll(out, edits)
}

// editAll applies edits with another implementation of RFC 7386.
func editAll(objects []string, edits []fleet.Edit) ([]string, error) {
	for _, e := range edits {
		at := -1
		for i, text := range objects {
			var o struct {
				APIVersion, Kind string
				Metadata         struct{ Name, Namespace string }
			}
			_ = json.Unmarshal([]byte(text), &o)
			group, _, _ := strings.Cut("/"+o.APIVersion, "/v")
			if o.Kind == e.Kind && o.Metadata.Name == e.Name && (e.Group == "" || group == "/"+e.Group) &&
				(e.Namespace == "" || o.Metadata.Namespace == e.Namespace) {
				if at >= 0 {
					return nil, fmt.Errorf("%s/%s is ambiguous", e.Kind, e.Name)
				}
				at = i
			}
		}
		if at < 0 {
			return nil, fmt.Errorf("no %s/%s", e.Kind, e.Name)
		}
		if string(e.Patch) == "null" {
			objects = slices.Delete(objects, at, at+1)
			continue
		}
		merged, err := jsonpatch.MergePatch([]byte(objects[at]), e.Patch)
		if err != nil {
			return nil, err
		}
		objects[at] = canonical(merged)
	}
	return objects, nil
}

func twoBuilds(fsys filesys.FileSystem, components []string, extra []fleet.Resource, own []fleet.Patch) (resmap.ResMap, error) {
	first := map[string]any{"resources": []string{"../repo/overlay"}, "components": components}
	stack, err := krustyBuild(fsys, "/first", first)
	if err != nil {
		return nil, err
	}
	text, err := stack.AsYaml()
	if err != nil {
		return nil, err
	}
	if err := fsys.WriteFile("/second/stack.yaml", text); err != nil {
		return nil, err
	}
	resources := []string{"stack.yaml"}
	for i, r := range extra {
		name := fmt.Sprintf("r%d.yaml", i)
		if err := fsys.WriteFile("/second/"+name, []byte(r.YAML)); err != nil {
			return nil, err
		}
		resources = append(resources, name)
	}
	patches := []map[string]any{}
	for _, p := range own {
		entry := map[string]any{"patch": p.Patch}
		if p.Target != nil {
			entry["target"] = p.Target
		}
		if p.Options != (fleet.PatchOptions{}) {
			entry["options"] = p.Options
		}
		patches = append(patches, entry)
	}
	return krustyBuild(fsys, "/second", map[string]any{"resources": resources, "patches": patches})
}

func krustyBuild(fsys filesys.FileSystem, dir string, k map[string]any) (m resmap.ResMap, err error) {
	data, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := fsys.WriteFile(dir+"/kustomization.yaml", data); err != nil {
		return nil, err
	}
	err = kustomize.WithLock(func() error { // krusty must not run beside the code under test
		options := krusty.MakeDefaultOptions()
		options.LoadRestrictions = types.LoadRestrictionsNone
		m, err = krusty.MakeKustomizer(options).Run(fsys, dir)
		return err
	})
	return m, err
}

func canonical(data []byte) string {
	v, err := yamltext.DecodeJSON(data)
	if err != nil {
		return err.Error()
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func mapFS(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func show(files map[string]string, c *fleet.Cluster, deltas []generated) string {
	var b strings.Builder
	for name, text := range files {
		fmt.Fprintf(&b, "--- %s\n%s\n", name, text)
	}
	for _, r := range c.Resources {
		fmt.Fprintf(&b, "--- resource\n%s\n", r.YAML)
	}
	for _, p := range c.Patches {
		fmt.Fprintf(&b, "--- patch %+v %+v\n%s\n", p.Target, p.Options, p.Patch)
	}
	for _, d := range deltas {
		fmt.Fprintf(&b, "--- delta\n%s\n", d.document())
	}
	return b.String()
}

// TestTextIsFoldedAsKustomizeFoldsIt has texts that kustomize reads differently once it
// has written them, in existing fields, new fields and lists.
func TestTextIsFoldedAsKustomizeFoldsIt(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		">\n@intro\n@  indented\n@end\n", ">+\n@a\n\n@b\n\n", ">-\n@a\n@ b\n\n@c\n", "|\n@a\n@  b\n", "|+\n@a\n\n", "\"a\\n  b\\nc\"", "'a\n\n@b'", "!!binary aGk=",
	} {
		for _, spec := range []string{"  text: " + strings.ReplaceAll(text, "@", "    "), "  new: " + strings.ReplaceAll(text, "@", "    "), "  list:\n  - " + strings.ReplaceAll(text, "@", "    ")} {
			files := map[string]string{
				"fleet.yaml":                   generatedFleet,
				"clusters/c.yaml":              "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c}\n",
				"base/app.yaml":                "apiVersion: example.com/v1\nkind: App\nmetadata: {name: folded}\nspec:\n  tag: v1\n  text: before\n",
				"overlay/kustomization.yaml":   "resources: [../base]\n",
				"base/kustomization.yaml":      "resources: [app.yaml]\n",
				"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels: [{pairs: {a: b}}]\n",
			}
			patch := "apiVersion: example.com/v1\nkind: App\nmetadata: {name: folded}\nspec:\n" + spec
			checkAgainstKustomize(t, files, &fleet.Cluster{Name: "c", Patches: []fleet.Patch{{Patch: patch}}})
		}
	}
}
