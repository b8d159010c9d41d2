package render_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
)

// BenchmarkRelease prepares a release for 1,000 clusters of 30 inputs on four stacks,
// each cluster with two patches in its file: it compiles the tree, and renders and checks
// every cluster. "first" is the release of a server that has just started, and "next" is
// that of a commit that changes every input.
func BenchmarkRelease(b *testing.B) {
	trees := []fs.FS{releaseTree(1_000, 1), releaseTree(1_000, 2)}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			prepareRelease(b, render.NewRenderer(), trees[0])
		}
	})
	b.Run("next", func(b *testing.B) {
		renderer, revision := render.NewRenderer(), 0
		prepareRelease(b, renderer, trees[0])
		var compiling time.Duration
		for b.Loop() {
			revision++
			compiling += prepareRelease(b, renderer, trees[revision%2])
		}
		b.ReportMetric(float64(compiling.Milliseconds())/float64(b.N), "ms/compile")
	})
}

// prepareRelease returns the time that compiling takes.
func prepareRelease(b *testing.B, renderer render.Renderer, tree fs.FS) time.Duration {
	b.Helper()
	start := time.Now()
	repo, err := renderer.Compile(context.Background(), tree)
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	view, problems, err := view.Prepare(context.Background(), alreadyCompiled{repo: repo}, &fleet.Snapshot{Revision: "r", Tree: tree}, nil, nil)
	if err != nil || len(problems) > 0 || len(view.Members()) != 1_000 || view.Members()[500].Counts()["platform-components"] != 30 {
		b.Fatal(err, problems)
	}
	return took
}

// alreadyCompiled returns a repo that the benchmark has compiled itself.
type alreadyCompiled struct {
	render.Renderer
	repo fleet.Repo
}

func (a alreadyCompiled) Compile(context.Context, fs.FS) (fleet.Repo, error) { return a.repo, nil }

// releaseTree returns a fleet repo at some version of all components.
func releaseTree(clusters, version int) fstest.MapFS {
	tree := fstest.MapFS{}
	add := func(name, format string, args ...any) {
		tree[name] = &fstest.MapFile{Data: fmt.Appendf(nil, format, args...)}
	}
	add("fleet.yaml", `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: bench}
spec:
  inputs: [{name: platform-components, kind: PlatformComponent}]
  placement:
  - {selector: {matchLabels: {environment: dev}}, overlay: overlays/dev}
  - {selector: {matchLabels: {environment: prod}}, overlay: overlays/prod}
  - {selector: {matchLabels: {region: eu}}, components: [components/eu]}
`)
	var objects []byte
	for i := range 30 {
		objects = fmt.Appendf(objects, `---
apiVersion: platform.example.com/v1
kind: PlatformComponent
metadata: {name: component-%02d, labels: {team: platform}}
spec:
  namespace: system-%02d
  source: {oci_url: "oci://registry.example.com/charts/component-%02d", oci_tag: 1.%d.%d}
  depends_on: [cert-manager, external-secrets]
  values:
    replicaCount: 2
    image: {repository: registry.example.com/component-%02d, tag: v1.%d.0}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
    service: {type: ClusterIP, ports: [{name: http, port: 80}, {name: metrics, port: 9090}]}
`, i, i, i, i, version, i, i)
	}
	add("base/all.yaml", "%s", objects)
	add("base/kustomization.yaml", "resources: [all.yaml]\n")
	const patch = "patches: [{target: {kind: PlatformComponent, name: component-%02d}, patch: '[{\"op\": \"add\", \"path\": \"/spec/values/for\", \"value\": \"%s\"}]'}]\n"
	add("overlays/dev/kustomization.yaml", "resources: [../../base]\n"+patch, 1, "dev")
	add("overlays/prod/kustomization.yaml", "resources: [../../base]\n"+patch, 2, "prod")
	add("components/eu/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"+patch, 3, "eu")
	for i := range clusters {
		add(fmt.Sprintf("clusters/cluster-%04d.yaml", i), `apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: cluster-%04d, labels: {environment: %s, region: %s}}
spec:
  dns: cluster-%04[1]d.k8s.example.com
  patches:
  - target: {kind: PlatformComponent, name: component-%02[4]d}
    patch: |-
      - {op: replace, path: /spec/values/replicaCount, value: %[5]d}
  - patch: |-
      apiVersion: platform.example.com/v1
      kind: PlatformComponent
      metadata: {name: component-%02[6]d}
      spec: {values: {hosts: [cluster-%04[1]d.example.com]}}
`, i, []string{"dev", "prod"}[i%2], []string{"eu", "us"}[i/2%2], i%30, i%7+3, i*7%30)
	}
	return tree
}
