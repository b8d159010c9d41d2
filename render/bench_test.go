package render

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/patch"
)

// BenchmarkClusterAgainstKrusty renders a cluster with two patches on a stack of 30
// objects, including inputs and contract checks, and builds the same cluster with krusty
// from the same finished stack. The two alternate, so that the ratio is valid on a
// machine whose speed varies.
func BenchmarkClusterAgainstKrusty(b *testing.B) {
	repo, c := benchFleet(b)
	files, patches := benchLayer(repo, c)
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		for range 20 {
			if rendering, problems := repo.Render(context.Background(), c, nil, nil); rendering == nil {
				b.Fatal(problems)
			}
		}
		ours += time.Since(start) / 20
		start = time.Now()
		if _, err := krustyBuild(files, "/cluster", patches); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
	}
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N), "µs/cluster")
	b.ReportMetric(float64(theirs.Microseconds())/float64(b.N), "µs/krusty")
	b.ReportMetric(float64(theirs)/float64(ours), "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEditAgainstPatch renders the cluster of BenchmarkClusterAgainstKrusty with a
// delta that changes one more object, by an edit and by a patch.
func BenchmarkEditAgainstPatch(b *testing.B) {
	repo, c := benchFleet(b)
	read := func(document string) []*fleet.Delta {
		d, err := Renderer{}.ReadDelta([]byte(document))
		if err != nil {
			b.Fatal(err)
		}
		return []*fleet.Delta{d}
	}
	edit := read("{cluster: one, edits: [{kind: PlatformComponent, name: component-11, patch: {spec: {values: {replicaCount: 3}}}}]}")
	patch := read("{cluster: one, patches: [{patch: '{apiVersion: platform.example.com/v1, kind: PlatformComponent, metadata: {name: component-11}, spec: {values: {replicaCount: 3}}}'}]}")
	took := func(deltas []*fleet.Delta) time.Duration {
		start := time.Now()
		for range 20 {
			if rendering, problems := repo.Render(context.Background(), c, deltas, nil); rendering == nil || rendering.Stale != nil {
				b.Fatal(problems)
			}
		}
		return time.Since(start) / 20
	}
	var edits, patches time.Duration
	for b.Loop() {
		edits += took(edit)
		patches += took(patch)
	}
	b.ReportMetric(float64(edits.Microseconds())/float64(b.N), "µs/edit")
	b.ReportMetric(float64(patches.Microseconds())/float64(b.N), "µs/patch")
	b.ReportMetric(float64(edits)/float64(patches), "ratio")
	b.ReportMetric(0, "ns/op")
}

func benchFleet(b *testing.B) (*Repo, *fleet.Cluster) {
	b.Helper()
	var objects strings.Builder
	for i := range 30 {
		fmt.Fprintf(&objects, `---
apiVersion: platform.example.com/v1
kind: PlatformComponent
metadata: {name: component-%02d, labels: {team: platform}}
spec:
  namespace: system-%02d
  source: {oci_url: "oci://registry.example.com/charts/component-%02d", oci_tag: 1.%d.0}
  depends_on: [cert-manager, external-secrets]
  values:
    replicaCount: 2
    image: {repository: registry.example.com/component-%02d, tag: v1.%d.0}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
    service: {type: ClusterIP, ports: [{name: http, port: 80}, {name: metrics, port: 9090}]}
`, i, i, i, i, i, i)
	}
	compiled, err := Renderer{}.Compile(context.Background(), mapFS(map[string]string{
		"fleet.yaml": `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: bench}
spec:
  inputs: [{name: platform-components, kind: PlatformComponent}]
  placement: [{selector: {}, overlay: base}]
`,
		"base/kustomization.yaml": "resources: [all.yaml]\n",
		"base/all.yaml":           objects.String(),
		"clusters/one.yaml": `apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: one, labels: {environment: prod, region: eu}}
spec:
  dns: one.k8s.example.com
  patches:
  - target: {kind: PlatformComponent, name: component-03}
    patch: |-
      - {op: replace, path: /spec/values/replicaCount, value: 3}
  - patch: |-
      apiVersion: platform.example.com/v1
      kind: PlatformComponent
      metadata: {name: component-07}
      spec: {source: {oci_tag: v1.0.0-1}}
`,
	}))
	if err != nil {
		b.Fatal(err)
	}
	if problems := compiled.Problems(); problems != nil {
		b.Fatal(problems)
	}
	return compiled.(*Repo), compiled.Clusters()[0]
}

// benchLayer returns what krusty builds: the finished stack, and the cluster on top.
func benchLayer(r *Repo, c *fleet.Cluster) (filesys.FileSystem, map[string]any) {
	p, _ := r.place(c)
	files := filesys.MakeFsInMemory()
	_ = files.WriteFile("/cluster/stack.yaml", r.stacks[p.key].YAML()) // memory takes it
	var patches []any
	for _, p := range c.Patches {
		patches = append(patches, patch.Kustomize(p))
	}
	return files, map[string]any{"resources": []string{"stack.yaml"}, "patches": patches}
}
