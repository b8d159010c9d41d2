package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render"
)

// overlaid is a synthetic fleet as somebody would keep it who has kustomize alone: with
// a kustomization for each cluster, of its overlay, its component and its patches.
type overlaid struct {
	b    testing.TB
	root string
	cli  string
	want int // objects of a cluster
}

// newOverlaid writes the fleet, with these clusters, to disk, where kustomize reads it.
func newOverlaid(b testing.TB, o *origin, clusters []string) *overlaid {
	b.Helper()
	k := &overlaid{b: b, root: b.TempDir(), cli: os.Getenv("KUSTOMIZE_CLI"), want: o.Components + o.Namespaces + o.Bindings}
	if k.cli == "" {
		b.Fatal("KUSTOMIZE_CLI names no kustomize; make bench does")
	}
	if err := o.Write(k.root); err != nil {
		b.Fatal(err)
	}
	repo, err := render.Renderer{}.Compile(b.Context(), os.DirFS(k.root))
	if err != nil {
		b.Fatal(err)
	}
	byName := map[string]fleet.Cluster{}
	for _, c := range repo.Clusters() {
		byName[c.Name] = c
	}
	for _, name := range clusters {
		k.kustomization(repo, byName[name])
	}
	return k
}

func (k *overlaid) dir(cluster string) string { return filepath.Join(k.root, "kustomized", cluster) }

func (k *overlaid) kustomization(repo fleet.Repo, c fleet.Cluster) {
	k.b.Helper()
	rendered, problems := repo.Render(c, nil)
	if rendered == nil {
		k.b.Fatal(problems)
	}
	content := map[string]any{"resources": []string{"../../" + rendered.Placement.Overlay}, "patches": c.Patches}
	var components []string
	for _, component := range rendered.Placement.Components {
		components = append(components, "../../"+component)
	}
	content["components"] = components
	text, err := yaml.Marshal(content)
	if err != nil {
		k.b.Fatal(err)
	}
	if err := os.MkdirAll(k.dir(c.Name), 0o755); err != nil {
		k.b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir(c.Name), "kustomization.yaml"), text, 0o644); err != nil {
		k.b.Fatal(err)
	}
}

// build is a `kustomize build` of a cluster, as a process.
func (k *overlaid) build(cluster string) {
	k.b.Helper()
	out, err := exec.Command(k.cli, "build", k.dir(cluster)).Output()
	if err != nil {
		k.b.Fatal(err)
	}
	k.check(out)
}

// run is the same in this process.
func (k *overlaid) run(cluster string) {
	k.b.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), k.dir(cluster))
	if err != nil {
		k.b.Fatal(err)
	}
	out, err := objects.AsYaml()
	if err != nil {
		k.b.Fatal(err)
	}
	k.check(out)
}

func (k *overlaid) check(out []byte) {
	k.b.Helper()
	if n := bytes.Count(out, []byte("\n---\n")) + 1; n != k.want {
		k.b.Fatalf("kustomize makes %d objects, want %d", n, k.want)
	}
}
