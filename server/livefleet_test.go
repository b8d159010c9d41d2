package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest"
	"github.com/tributary-gitops/tributary/fleet/storetest/invariants"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// liveFleet is a fleet repo with clusters one and two.
var liveFleet = map[string]string{
	"fleet.yaml": `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App, schema: schemas/app.json}
  - {name: namespaces, kind: Namespace, fields: {labels: metadata.labels}, defaults: {labels: {}}}
  placement:
  - {selector: {}, overlay: base}
`,
	"schemas/app.json":        `{"type": "object", "properties": {"replicas": {"type": "integer"}, "tag": {"type": "string"}}}`,
	"base/kustomization.yaml": "resources: [app.yaml]\n",
	"base/app.yaml": `apiVersion: example.com/v1
kind: App
metadata: {name: web}
spec: {tag: v1, replicas: 1}
---
apiVersion: v1
kind: Namespace
metadata: {name: web, labels: {team: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: twice, namespace: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: twice, namespace: b}
`,
	"clusters/all.yaml": `apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: one, labels: {environment: dev}}
spec: {dns: one.example.com}
---
apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: two, labels: {environment: prod}}
`,
}

// live is a harness with a real fleet.
type live struct {
	*harness
	dir string // of the fleet repo
}

// startLive runs a server with a real fleet: a directory, the renderer, and a change log in
// a SQLite file. It returns when the server is ready.
func startLive(t *testing.T, adjust ...func(*server.Config)) *live {
	t.Helper()
	return startLiveWith(t, func(*controller.Config) {}, adjust...)
}

// openStore opens a new SQLite file. When the test ends, the store is checked and closed.
func openStore(t *testing.T, r fleet.Renderer) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "tributary.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the controllers on it have stopped
		storetest.FoldEqualsState(t, store)
		invariants.Hold(t, store, r, archive.Archive{})
		_ = store.Close()
	})
	return store
}

// startLiveWith is startLive with a controller that configure changes.
func startLiveWith(t *testing.T, configure func(*controller.Config), adjust ...func(*server.Config)) *live {
	t.Helper()
	l := &live{dir: t.TempDir()}
	for name, text := range liveFleet {
		l.write(t, name, text)
	}
	source, err := sources.Open(l.dir, sources.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	store := openStore(t, render.Renderer{})
	adjusted := func(c *server.Config) {
		c.Registry = prometheus.NewRegistry()
		cfg := controller.Config{
			Source: source, Renderer: render.Renderer{}, Logger: c.Logger, Registerer: c.Registry, Interval: time.Hour,
			Store: store, Archive: archive.Archive{},
		}
		configure(&cfg)
		c.Fleet = controller.New(cfg)
	}
	l.harness = start(t, append([]func(*server.Config){adjusted}, adjust...)...)
	eventually(t, func() bool {
		_, err := l.fleet.View()
		return err == nil
	})
	return l
}

// write writes a file of the fleet repo.
func (l *live) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(l.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// change sends a write; headers are name, value, name, value, ….
func (h *harness) change(method, path, contentType, body string, headers ...string) reply {
	h.t.Helper()
	if contentType != "" {
		headers = append(headers, "Content-Type", contentType)
	}
	return h.send(method, path, strings.NewReader(body), headers...)
}

// wantKept checks that a write was kept, and returns its result.
func (r reply) wantKept(t *testing.T) fleet.Result {
	t.Helper()
	var result fleet.Result
	if err := json.Unmarshal(r.body, &result); err != nil || r.status != http.StatusOK {
		t.Fatalf("status %d: %s, want 200", r.status, r.body)
	}
	return result
}
