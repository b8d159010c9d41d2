package controller_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// BenchmarkPrepareRelease compiles and evaluates a release of 1,000 clusters with 30 inputs and a
// patch each. The releases change every input, change one input of each cluster, or remove one
// input of each cluster.
func BenchmarkPrepareRelease(b *testing.B) {
	for _, c := range []struct {
		name                      string
		version, one, components  int
		changed, removed, touched int
	}{
		{"every input", 2, 1, 30, 30_000, 0, 1_000},
		{"one input of each cluster", 1, 2, 30, 1_000, 0, 1_000},
		{"one input removed", 1, 1, 29, 0, 1_000, 1_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newSource()
			s.put("main@1", benchTree(1, 1, 30))
			renderer := render.NewRenderer()
			r := start(b, s, openStore(b, sqliteFile(b)), func(cfg *controller.Config) { cfg.Renderer = renderer })
			r.awaitRevision("main@1")
			next := benchTree(c.version, c.one, c.components)
			for b.Loop() {
				impact, err := r.Evaluate(b.Context(), &fleet.Snapshot{Revision: "main@2", Tree: next})
				if err != nil || impact == nil || impact.Changed != c.changed || impact.Removed != c.removed || impact.Clusters != c.touched {
					b.Fatalf("impact = %+v, %v", impact, err)
				}
			}
		})
	}
}

// benchTree returns a fleet repo in which all components have a version; one multiplies that of
// the first component.
func benchTree(version, one, components int) fstest.MapFS {
	tree := manyClusters(0)
	put := func(path, content string) { tree[path] = &fstest.MapFile{Data: []byte(content)} }
	var objects []byte
	for i := range components {
		tag := version
		if i == 0 {
			tag = version * one
		}
		objects = fmt.Appendf(objects, `---
apiVersion: example.com/v1
kind: App
metadata: {name: app-%02d, labels: {team: platform}}
spec:
  namespace: system-%02d
  source: {oci_url: "oci://registry.example.com/charts/app-%02d", oci_tag: 1.%d.0}
  depends_on: [cert-manager, external-secrets]
  values:
    replicaCount: 2
    image: {repository: registry.example.com/app-%02d, tag: v1.%d.0}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
    service: {type: ClusterIP, ports: [{name: http, port: 80}, {name: metrics, port: 9090}]}
`, i, i, i, tag, i, tag)
	}
	put("base/app.yaml", string(objects))
	for i := range 1_000 {
		put(fmt.Sprintf("clusters/c%03d.yaml", i), fmt.Sprintf(`apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: c%03d, labels: {environment: %s, group: g%d}}
spec:
  dns: c%03[1]d.k8s.example.com
  patches:
  - target: {kind: App, name: app-%02[4]d}
    patch: |-
      - {op: replace, path: /spec/values/replicaCount, value: %[3]d}
`, i, []string{"dev", "prod"}[i%2], i%10, i%29))
	}
	return tree
}
