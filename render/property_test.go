package render

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestClusterGetsWhatKustomizeBuilds is promise 7: whatever the overlay does to
// names and namespaces and whatever the cluster's resources and patches are,
// a cluster's objects are those of `kustomize build` of what it stands for,
// run here by krusty on a file system of kustomize's own.
func TestClusterGetsWhatKustomizeBuilds(t *testing.T) {
	const cases = 250
	var quick, faults int
	for seed := range uint64(cases) {
		t.Logf("seed %d", seed) // shown where it fails
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 7))}
		files, cluster := g.fleet()
		repo := checkAgainstKustomize(t, files, cluster)
		if repo == nil {
			faults++
			continue
		}
		if isQuick(t, repo, cluster) {
			quick++
		}
	}
	t.Logf("%d of %d by shortcut, %d faults", quick, cases, faults)
	if quick < cases/5 || faults < cases/50 || faults > cases/2 {
		t.Errorf("the generated clusters no longer reach what they should: %d of %d by shortcut, %d faults", quick, cases, faults)
	}
}

// objectsOf is what Render makes inputs from, before the client's contract is
// checked: kustomize has no part in that.
func objectsOf(t *testing.T, r *Repo, c fleet.Cluster) ([]string, fleet.Problems) {
	t.Helper()
	if problems := r.Problems().Faults(); problems != nil {
		t.Fatal(problems)
	}
	p, _ := r.place(c)
	objects, problems := r.layered(r.stacks[stackKey(p)], c)
	var out []string
	for _, o := range objects {
		out = append(out, canonical(o.JSON))
	}
	return out, problems
}

// checkAgainstKustomize compares the objects of a cluster with krusty's, and
// returns nil where both find a fault.
func checkAgainstKustomize(t *testing.T, files map[string]string, c fleet.Cluster) *Repo {
	t.Helper()
	want, wantErr := standsFor(files, c)
	compiled, err := Renderer{}.Compile(context.Background(), mapFS(files))
	if err != nil {
		t.Fatal(err)
	}
	repo := compiled.(*Repo)
	got, problems := objectsOf(t, repo, c)
	if (wantErr != nil) != (len(problems.Faults()) > 0) {
		t.Fatalf("kustomize says %v, Tributary says %v\n%s", wantErr, problems, show(files, c))
	}
	if wantErr != nil {
		return nil
	}
	if !slices.Equal(got, want) {
		t.Fatalf("objects = \n%s\nwant\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), show(files, c))
	}
	return repo
}

func isQuick(t *testing.T, r *Repo, c fleet.Cluster) bool {
	t.Helper()
	p, _ := r.place(c)
	patches, problems := r.readPatches(c)
	if problems != nil {
		t.Fatal(problems)
	}
	_, _, err := r.quickly(r.stacks[stackKey(p)], c, patches)
	return err == nil
}

// standsFor is what fleet-repo.md says a cluster stands for, in two builds.
func standsFor(files map[string]string, c fleet.Cluster) ([]string, error) {
	fsys := filesys.MakeFsInMemory()
	for name, text := range files {
		if err := fsys.WriteFile("/repo/"+name, []byte(text)); err != nil {
			return nil, err
		}
	}
	first := map[string]any{"resources": []string{"../repo/overlay"}, "components": []string{"../repo/component"}}
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
	for i, r := range c.Resources {
		name := fmt.Sprintf("r%d.yaml", i)
		if err := fsys.WriteFile("/second/"+name, []byte(r.YAML)); err != nil {
			return nil, err
		}
		resources = append(resources, name)
	}
	patches := []map[string]any{}
	for _, p := range c.Patches {
		entry := map[string]any{"patch": p.Patch}
		if p.Target != nil {
			entry["target"] = p.Target
		}
		if p.Options != (fleet.PatchOptions{}) {
			entry["options"] = p.Options
		}
		patches = append(patches, entry)
	}
	built, err := krustyBuild(fsys, "/second", map[string]any{"resources": resources, "patches": patches})
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
	return out, nil
}

func krustyBuild(fsys filesys.FileSystem, dir string, k map[string]any) (m resmap.ResMap, err error) {
	data, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	if err := fsys.WriteFile(dir+"/kustomization.yaml", data); err != nil {
		return nil, err
	}
	err = withKustomize(func() error { // krusty is not safe beside the code under test
		options := krusty.MakeDefaultOptions()
		options.LoadRestrictions = types.LoadRestrictionsNone
		m, err = krusty.MakeKustomizer(options).Run(fsys, dir)
		return err
	})
	return m, err
}

func canonical(data []byte) string {
	v, err := decodeJSON(data)
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

func show(files map[string]string, c fleet.Cluster) string {
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
	return b.String()
}
