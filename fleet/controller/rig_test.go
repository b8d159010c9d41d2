package controller_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest"
	"github.com/tributary-gitops/tributary/fleet/storetest/invariants"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// acme returns a fleet repo with the clusters ann and bob in dev and cid in prod, the apps web
// and db, and the deployment front. Arguments are pairs of a path and the content of a file to
// replace or add. Its guard allows everything but invalid clusters.
func acme(files ...string) fstest.MapFS {
	tree := fstest.MapFS{}
	put := func(path, content string) { tree[path] = &fstest.MapFile{Data: []byte(content)} }
	put("fleet.yaml", `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  guard: {removedPerCluster: 100%, removedPerFleet: 100%, removedEverywhere: 100%, orphanedClusters: 100%, protected: [], window: 0, failingClusters: 0, allowEmptySets: true, allowVanishedSets: true, allowOrphanedParts: true, allowReownedNames: true}
  inputs:
  - {name: apps, kind: App, schema: schemas/app.json}
  - {name: deployments, kind: Deployment, fields: {manifest: .}}
  placement: [{selector: {}, overlay: base}]
`)
	put("schemas/app.json", `{"type": "object", "required": ["tag"], "properties": {"tag": {"type": "string"}, "replicas": {"type": "integer", "maximum": 9}}}`)
	put("base/kustomization.yaml", "resources: [web.yaml, db.yaml, front.yaml]\n")
	put("base/web.yaml", app("web", `{tag: v1, replicas: 2, env: {a: "1", b: "2"}, ports: [80, 443]}`))
	put("base/db.yaml", app("db", `{tag: v1, replicas: 1}`))
	put("base/front.yaml", `apiVersion: apps/v1
kind: Deployment
metadata: {name: front, namespace: shop}
spec:
  template:
    spec:
      containers:
      - {name: main, image: "main:1", args: [x, y]}
      - {name: proxy, image: "proxy:1"}
`)
	put("components/extra/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [extra.yaml]\n")
	put("components/extra/extra.yaml", app("extra", "{tag: v1}"))
	for name, environment := range map[string]string{"ann": "dev", "bob": "dev", "cid": "prod"} {
		put("clusters/"+name+".yaml", clusterFile(name, environment))
	}
	for i := 0; i < len(files); i += 2 {
		put(files[i], files[i+1])
	}
	return tree
}

func app(name, spec string) string {
	return fmt.Sprintf("apiVersion: example.com/v1\nkind: App\nmetadata: {name: %s}\nspec: %s\n", name, spec)
}

func clusterFile(name, environment string) string {
	return fmt.Sprintf(`apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: %s, labels: {environment: %s}}
spec: {dns: %s.example.com}
`, name, environment, name)
}

// put sets the revision that the source returns.
func (s *scriptedSource) put(revision string, tree fs.FS) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.err = &fleet.Snapshot{Revision: revision, Tree: tree, Commit: s.commit}, nil
}

// rig is a running controller with a change log.
type rig struct {
	*controller.Controller
	t        testing.TB
	source   *scriptedSource
	store    fleet.Store
	registry *prometheus.Registry
	stop     func()
}

// start runs a controller with a source and a store. The functions of configure change its Config.
func start(t testing.TB, s *scriptedSource, store fleet.Store, configure ...func(*controller.Config)) *rig {
	t.Helper()
	r := &rig{t: t, source: s, store: store, registry: prometheus.NewRegistry()}
	cfg := controller.Config{
		Source: s, Renderer: render.Renderer{}, Store: store, Archive: archive.Archive{},
		Interval: time.Hour, Registerer: r.registry,
	}
	for _, m := range configure {
		m(&cfg)
	}
	r.Controller = controller.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v, want nil after its context ended", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// startAcme runs a controller of acme with a new SQLite file and returns when acme is served.
func startAcme(t testing.TB, configure ...func(*controller.Config)) *rig {
	t.Helper()
	s := newSource()
	s.put("main@1", acme())
	r := start(t, s, openStore(t, sqliteFile(t)), configure...)
	r.awaitRevision("main@1")
	return r
}

// sqliteFile returns the URL of a database that does not exist yet.
func sqliteFile(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "tributary.db") }

// openStore opens a store. When the test ends, the store is checked and closed.
func openStore(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the controllers on it have stopped
		storetest.FoldEqualsState(t, s)
		if _, is := t.(*testing.T); is { // it would take minutes for a benchmark
			invariants.Hold(t, s, render.Renderer{}, archive.Archive{})
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// release sets the revision of the source and waits until it is served.
func (r *rig) release(revision string, tree fs.FS) {
	r.t.Helper()
	r.source.put(revision, tree)
	r.Look()
	r.awaitRevision(revision)
}

func (r *rig) awaitRevision(revision string) {
	r.t.Helper()
	r.await(revision, func() bool {
		v, err := r.View()
		return err == nil && v.Release().Revision == revision
	})
}

// await waits up to a minute until happened returns true.
func (r *rig) await(what string, happened func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s never happened: %+v", what, r.Status())
		}
	}
}

// recordPoll records that a cluster polled one of its sets.
func (r *rig) recordPoll(cluster, set string, generation int64, agent string) {
	r.t.Helper()
	m, err := r.view().Member(cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	r.RecordPoll(m, cluster, set, generation, agent, "")
}

func (r *rig) view() *view.View {
	r.t.Helper()
	v, err := r.View()
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// bodies returns all answers of a view as text.
func bodies(t testing.TB, v *view.View) string {
	t.Helper()
	var b strings.Builder
	for _, m := range v.Members() {
		for _, set := range v.Sets() {
			body, err := m.Body(set)
			if errors.Is(err, fleet.ErrNotFound) && m.State == fleet.ClusterOrphaned {
				continue // the set belongs to a later release
			}
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s/%s: %s", m.Cluster.Name, set, body.JSON())
		}
	}
	return b.String()
}

// everything returns, as text, all that a write can change: generation, history, deltas and answers.
func (r *rig) everything() string {
	r.t.Helper()
	v := r.view()
	history, err := json.Marshal(r.history())
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("%d\n%s\n%s\n%s", v.Generation(), history, deltasOf(r.t, v.Deltas()), bodies(r.t, v))
}

// history returns the change log, oldest change first.
func (r *rig) history() []fleet.Change {
	r.t.Helper()
	changes, err := r.History(r.t.Context(), fleet.ChangeQuery{Limit: 1 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Reverse(changes)
	return changes
}

// deltasOf returns deltas as text.
func deltasOf(t testing.TB, deltas []*fleet.Delta) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, d := range deltas {
		if err := e.Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// input returns one input of a cluster as JSON, without its fields cluster and id. It returns
// "" if there is none.
func (r *rig) input(cluster, id string) string {
	r.t.Helper()
	v := r.view()
	m, err := v.Member(cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, set := range v.Sets() {
		body, err := m.Body(set)
		if errors.Is(err, fleet.ErrNotFound) && m.State == fleet.ClusterOrphaned {
			continue // the set belongs to a later release
		}
		if err != nil {
			r.t.Fatal(err)
		}
		var answer struct{ Inputs []map[string]any }
		if err := json.Unmarshal(body.JSON(), &answer); err != nil {
			r.t.Fatal(err)
		}
		for _, in := range answer.Inputs {
			if in["id"] == id {
				delete(in, "cluster")
				delete(in, "id")
				text, err := json.Marshal(in)
				if err != nil {
					r.t.Fatal(err)
				}
				return string(text)
			}
		}
	}
	return ""
}

func (r *rig) wantInput(cluster, id, want string) {
	r.t.Helper()
	if got := r.input(cluster, id); got != want {
		r.t.Errorf("input %s of %s = %s, want %s", id, cluster, got, want)
	}
}

// staleParts returns the stale parts of a cluster as delta:field.
func (r *rig) staleParts(cluster string) string {
	r.t.Helper()
	m, err := r.view().Member(cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, o := range m.Stale {
		all = append(all, o.Delta+":"+o.Field)
	}
	return strings.Join(all, " ")
}

// metric returns the value of a metric without labels.
func (r *rig) metric(name string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.Metric[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	r.t.Fatalf("metric %s not found", name)
	return 0
}

var ada = controller.WriteOptions{Actor: "ada", Reason: "because"}

// document reads a delta from a document that has its name.
func (r *rig) document(document string) *fleet.Delta {
	r.t.Helper()
	d, err := render.Renderer{}.ReadDelta([]byte(document))
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) apply(document string) *fleet.Result {
	r.t.Helper()
	result, err := r.PutDelta(r.t.Context(), ada, r.document(document))
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func objectNamed(kindAndName string) fleet.ObjectName {
	kind, name, _ := strings.Cut(kindAndName, "/")
	return fleet.ObjectName{Kind: kind, Name: name}
}

func (r *rig) patch(cluster, object, patch string) *fleet.Result {
	r.t.Helper()
	result, err := r.PatchObject(r.t.Context(), ada, cluster, objectNamed(object), fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(patch)})
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// ownDelta returns the own delta of a cluster as JSON, or "" if there is none.
func (r *rig) ownDelta(cluster string) string {
	r.t.Helper()
	d, err := r.view().Delta(fleet.OwnID(cluster))
	if errors.Is(err, fleet.ErrNotFound) {
		return ""
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(deltasOf(r.t, []*fleet.Delta{d}))
}

// wantRefused checks that a write returns an error and changes nothing.
func (r *rig) wantRefused(want error, do func() (*fleet.Result, error)) error {
	r.t.Helper()
	before := r.everything()
	result, err := do()
	if !errors.Is(err, want) || result != nil {
		r.t.Errorf("write = %v, %v, want error %v", result, err, want)
	}
	if r.everything() != before {
		r.t.Errorf("a write that returned %v changed something", err)
	}
	return err
}

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func withClock(c *clock) func(*controller.Config) {
	return func(cfg *controller.Config) { cfg.Now = c.Now }
}

// sortedDeltas returns the deltas of a map, sorted by ID.
func sortedDeltas(byID map[string]*fleet.Delta) []*fleet.Delta {
	var all []*fleet.Delta
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		all = append(all, byID[id])
	}
	return all
}

// revisions returns the revisions of all clusters, such as "ann=main@1 bob=main@2".
func (r *rig) revisions() string {
	var all []string
	for _, m := range r.view().Members() {
		all = append(all, m.Cluster.Name+"="+m.Release().Revision)
	}
	return strings.Join(all, " ")
}

func (r *rig) wantRevisions(want string) {
	r.t.Helper()
	if got := r.revisions(); got != want {
		r.t.Errorf("clusters are on %s, want %s", got, want)
	}
}

// propose sets the revision of the source and waits until its release has a state.
func (r *rig) propose(revision string, tree fstest.MapFS, state fleet.ReleaseState) *fleet.Release {
	r.t.Helper()
	r.source.put(revision, tree)
	r.Look()
	r.await(revision+" to be "+string(state), func() bool { return r.stateOf(revision) == state })
	r.awaitLog()
	return r.releaseOf(revision)
}

// awaitLog waits until the latest generation of the log is served.
func (r *rig) awaitLog() {
	r.t.Helper()
	r.await("the latest generation", func() bool {
		generation, err := r.store.Generation(r.t.Context())
		v, unready := r.View()
		return err == nil && unready == nil && v.Generation() == generation
	})
}

// awaitLook waits until the controller has processed the revision of the source.
func (r *rig) awaitLook() {
	r.t.Helper()
	r.await("a look at the source", func() bool {
		r.Look()
		r.source.mu.Lock()
		defer r.source.mu.Unlock()
		return r.source.next.Revision == r.source.known
	})
	r.awaitLog()
}

func (r *rig) stateOf(revision string) fleet.ReleaseState {
	found, err := r.Release(r.t.Context(), revision)
	if err != nil {
		return ""
	}
	if found.State == fleet.RollingOut {
		return fleet.Live // as in the API
	}
	return found.State
}

func (r *rig) releaseOf(revision string) *fleet.Release {
	r.t.Helper()
	found, err := r.Release(r.t.Context(), revision)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func (r *rig) decide(verdict fleet.Verdict, revision, digest string) *fleet.Release {
	r.t.Helper()
	found, err := r.Decide(r.t.Context(), ada, verdict, revision, digest)
	if err != nil {
		r.t.Fatalf("%s %s: %v", verdict, revision, err)
	}
	return found
}

// restart stops the controller and starts another with the same source and store.
func (r *rig) restart(configure ...func(*controller.Config)) *rig {
	r.t.Helper()
	r.stop()
	next := start(r.t, r.source, r.store, configure...)
	next.await("the restart", func() bool { _, err := next.View(); return err == nil })
	return next
}

func (r *rig) declare(document string) *fleet.Result {
	r.t.Helper()
	_, result, err := r.Declare(r.t.Context(), ada, []byte(document))
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func (r *rig) member(cluster string) *view.Member {
	r.t.Helper()
	m, err := r.view().Member(cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *rig) wantState(cluster string, want fleet.ClusterState) {
	r.t.Helper()
	if got := r.member(cluster).State; got != want {
		r.t.Errorf("%s is %s, want %s", cluster, got, want)
	}
}

// answers returns the answers for some sets of a cluster, one a line.
func (r *rig) answers(cluster string, sets ...string) string {
	r.t.Helper()
	var all []string
	for _, set := range sets {
		body, err := r.member(cluster).Body(set)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, string(body.JSON()))
	}
	return strings.Join(all, "\n")
}
