package render

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestTreesAreBuiltOrRefusedAsByKustomize checks promise 7 where Tributary does kustomize's
// work itself: it vets kustomizations, resolves paths and links, and joins directories that
// only name files. On trees full of odd entries, the objects are those of kustomize, and
// what kustomize refuses is refused.
func TestTreesAreBuiltOrRefusedAsByKustomize(t *testing.T) {
	t.Parallel()
	cases := 2_000
	if testing.Short() {
		cases = 300
	}
	var built, flat atomic.Int64
	forSeeds(t, cases, func(t *testing.T, seed uint64) {
		g := &treeGenerator{Rand: rand.New(rand.NewPCG(seed, 11)), root: t.TempDir()}
		g.tree(t)
		m, wantErr := krustyBuild(filesys.MakeFsOnDisk(), filepath.Join(g.root, "first"), map[string]any{"resources": []string{"../repo/overlay"}, "components": []string{"../repo/component"}})
		compiled, err := Renderer{}.Compile(context.Background(), os.DirFS(filepath.Join(g.root, "repo")))
		if err != nil {
			t.Fatal(err)
		}
		repo := compiled.(*Repo)
		problems := repo.Problems().Faults()
		if (wantErr != nil) != (len(problems) > 0) {
			t.Fatalf("kustomize says %v, Tributary says %v\n%s", wantErr, problems, g.show())
		}
		if wantErr != nil {
			return
		}
		var want []string
		for _, r := range m.Resources() {
			data, err := r.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, canonical(data))
		}
		got, problems := objectsOf(t, repo, &fleet.Cluster{Name: "c"}, nil)
		if len(problems) > 0 || !slices.Equal(got, want) {
			t.Fatalf("objects = \n%s\n%v\nwant\n%s\n%s", strings.Join(got, "\n"), problems, strings.Join(want, "\n"), g.show())
		}
		built.Add(1)
		for _, s := range repo.stacks {
			for _, text := range s.flattened {
				if text != "" {
					flat.Add(1)
					return
				}
			}
		}
	})
	t.Logf("%d of %d are built, %d of them with joined directories", built.Load(), cases, flat.Load())
	if n := int(built.Load()); n < cases/5 || n > cases*4/5 || int(flat.Load()) < n/30 {
		t.Errorf("the generated trees no longer cover what they should: %d of %d are built, %d of them with joined directories", n, cases, flat.Load())
	}
}

// treeGenerator makes trees of kustomizations that name one another, with entries as people
// mistype them.
type treeGenerator struct {
	*rand.Rand
	root  string
	texts []string
}

func (g *treeGenerator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *treeGenerator) one(choices ...string) string { return choices[g.IntN(len(choices))] }

func (g *treeGenerator) show() string { return strings.Join(g.texts, "\n") }

func (g *treeGenerator) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(g.root, "repo", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.texts = append(g.texts, "--- "+name+"\n"+text)
}

var treeDirs = []string{"base", "base/one", "base/one/deep", "base/two", "shared", "shared/prod", "app@v1"}

func (g *treeGenerator) tree(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(g.root, "first"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.write(t, "fleet.yaml", generatedFleet)
	g.write(t, "clusters/c.yaml", "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c}\n")
	component := g.one("namePrefix: p-\n", "commonLabels: {a: b}\n", "resources: [../shared/own.yaml]\n", "namespace: ns\n")
	if g.chance(95) {
		component += "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\n"
	}
	g.write(t, "component/kustomization.yaml", component)
	for i, dir := range treeDirs {
		g.object(t, dir+"/own.yaml", fmt.Sprintf("own%d", i))
		g.object(t, dir+"/redis@7.yaml", fmt.Sprintf("redis%d", i))
		// Most entries lead to directories that come later, so that most trees have no cycle.
		g.kustomization(t, dir, i+1)
	}
	g.object(t, "overlay/own.yaml", "overlay")
	g.object(t, "overlay/redis@7.yaml", "redis")
	g.object(t, "shared/v1..2/own.yaml", "dots")
	g.write(t, "shared/v1..2/kustomization.yaml", "resources: [own.yaml]\n")
	g.kustomization(t, "overlay", 0)
	if g.chance(20) {
		target := g.one("base", "../base/one", "shared/own.yaml", "nowhere")
		if err := os.Symlink(target, filepath.Join(g.root, "repo", "link")); err != nil {
			t.Fatal(err)
		}
		g.texts = append(g.texts, "--- link -> "+target)
	}
}

func (g *treeGenerator) object(t *testing.T, file, name string) {
	t.Helper()
	g.write(t, file, fmt.Sprintf("apiVersion: example.com/v1\nkind: Comp\nmetadata: {name: %s}\nspec: {a: 1}\n", name))
}

func (g *treeGenerator) kustomization(t *testing.T, dir string, later int) {
	t.Helper()
	var b strings.Builder
	if g.chance(6) {
		b.WriteString(g.one("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "kind: Kustomization\n",
			"apiVersion: kustomize.config.k8s.io/v1alpha1\n", "kind: Kustomisation\n", "apiVersion: v1\nkind: List\n", "metadata: {name: x}\n"))
	}
	b.WriteString(g.one("resources:\n", "resources:\n", "resources:\n", "Resources:\n"))
	if g.chance(90) {
		b.WriteString("- own.yaml\n")
	}
	for range g.IntN(3) {
		if entry, ok := g.entry(dir, later); ok {
			fmt.Fprintf(&b, "- %s\n", entry)
		}
	}
	if g.chance(10) {
		b.WriteString(g.one("namePrefix: n-\n", "labels: [{pairs: {x: \"y\"}}]\n", "patches: [{target: {kind: Comp}, patch: '[{op: add, path: /spec/b, value: 2}]'}]\n",
			"configMapGenerator: [{name: made, files: [own.yaml, k=redis@7.yaml]}]\n", "components: [../component]\n", "buildMetadata: [originAnnotations]\n"))
	}
	g.write(t, dir+"/"+g.one("kustomization.yaml", "kustomization.yaml", "kustomization.yml", "Kustomization"), b.String())
	if g.chance(2) {
		g.write(t, dir+"/"+g.one("kustomization.yaml", "Kustomization"), "resources: [own.yaml]\n")
	}
}

// entry returns an entry of resources in a directory. It returns false if the directory is to
// have none.
func (g *treeGenerator) entry(dir string, later int) (entry string, ok bool) {
	below := slices.DeleteFunc(slices.Clone(treeDirs), func(d string) bool { return !strings.HasPrefix(d, dir+"/") })
	target := ""
	switch n := g.IntN(100); {
	case n < 4:
		target = g.one(".", "link", "link/own.yaml", "overlay", "base/none", "component", "shared/own.yaml/", "shared/v1..2", "shared/v1..2/own.yaml")
	case n < 8:
		target = path.Dir(dir) // kustomize refuses to go back to where it came from
	case n < 15 && later < len(treeDirs) || dir == "overlay":
		target = treeDirs[later+g.IntN(len(treeDirs)-later)]
	case len(below) == 0:
		return "", false
	default:
		target = below[g.IntN(len(below))]
	}
	if g.chance(15) {
		target += "/redis@7.yaml"
	}
	entry, err := filepath.Rel(dir, target)
	if err != nil {
		return err.Error(), true
	}
	if !g.chance(8) {
		return entry, true
	}
	other, _ := filepath.Rel(dir, treeDirs[g.IntN(len(treeDirs))])
	switch g.IntN(7) {
	case 0:
		return "./" + entry, true
	case 1:
		return entry + "/", true
	case 2:
		return "nowhere/../" + entry, true
	case 3:
		return entry + "\n - " + other, true // an indented dash
	case 4:
		return "../../../" + entry, true
	case 5:
		return "/" + entry, true
	}
	return "a..b/../" + entry, true
}
