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
)

// overlaid is a synthetic fleet as a user of kustomize alone would keep it: with a
// kustomization for each cluster, made of its overlay, its component and its patches.
type overlaid struct {
	b    testing.TB
	root string
	cli  string
	want int // number of objects of a cluster
}

// newOverlaid writes the fleet with these clusters to disk.
func newOverlaid(b testing.TB, o *origin, clusters []int) *overlaid {
	b.Helper()
	k := &overlaid{b: b, root: b.TempDir(), cli: os.Getenv("KUSTOMIZE_CLI"), want: o.Components + o.Namespaces + o.Bindings}
	if k.cli == "" {
		b.Fatal("KUSTOMIZE_CLI names no kustomize; make bench does")
	}
	if err := o.Write(k.root); err != nil {
		b.Fatal(err)
	}
	for _, cluster := range clusters {
		k.kustomization(o, cluster)
	}
	return k
}

func (k *overlaid) dir(cluster string) string { return filepath.Join(k.root, "kustomized", cluster) }

func (k *overlaid) kustomization(o *origin, cluster int) {
	k.b.Helper()
	var declared struct{ Spec struct{ Patches []any } }
	_, file := o.ClusterChange(cluster, 0)
	if err := yaml.Unmarshal(file, &declared); err != nil {
		k.b.Fatal(err)
	}
	overlay, component := o.Placement(cluster)
	content := map[string]any{
		"resources": []string{"../../" + overlay}, "components": []string{"../../" + component}, "patches": declared.Spec.Patches,
	}
	text, err := yaml.Marshal(content)
	if err != nil {
		k.b.Fatal(err)
	}
	if err := os.MkdirAll(k.dir(o.ClusterName(cluster)), 0o755); err != nil {
		k.b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.dir(o.ClusterName(cluster)), "kustomization.yaml"), text, 0o644); err != nil {
		k.b.Fatal(err)
	}
}

// build runs `kustomize build` for a cluster, as a process.
func (k *overlaid) build(cluster string) {
	k.b.Helper()
	out, err := exec.Command(k.cli, "build", k.dir(cluster)).Output()
	if err != nil {
		k.b.Fatal(err)
	}
	k.check(out)
}

// run does the same in this process.
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
