package controller_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
)

// scriptedSource is a source that a test controls. The renderer of the tests is the real one.
type scriptedSource struct {
	mu      sync.Mutex
	next    *fleet.Snapshot
	err     error
	hangs   bool // the next Fetch blocks until its context ends
	panics  bool // every Fetch panics
	watches int
	known   string        // the known revision of the last Fetch
	commit  *fleet.Commit // of what is put
}

func newSource() *scriptedSource { return &scriptedSource{} }

func (s *scriptedSource) String() string { return "scripted" }

func (s *scriptedSource) set(revision, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.err = &fleet.Snapshot{Revision: revision, Tree: tree(tag)}, nil
}

func (s *scriptedSource) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *scriptedSource) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = known
	if s.panics {
		panic("scripted panic")
	}
	if s.hangs {
		s.hangs = false
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.err != nil || s.next == nil || s.next.Revision == known {
		return nil, s.err
	}
	return s.next, nil
}

func (s *scriptedSource) Watch(ctx context.Context, _ func()) error {
	s.mu.Lock()
	s.watches++
	first := s.watches == 1
	s.mu.Unlock()
	if first {
		return errors.New("no watches left")
	}
	<-ctx.Done()
	return nil
}

// tree returns a fleet repo with one cluster and one input with a tag. An empty tag makes it invalid.
func tree(tag string) fstest.MapFS {
	spec := "spec: {tag: " + tag + "}"
	if tag == "" {
		spec = "spec: [no, mapping]"
	}
	return fstest.MapFS{
		"fleet.yaml": {Data: []byte(`apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs: [{name: apps, kind: App}]
  placement: [{selector: {}, overlay: base}]
`)},
		"base/kustomization.yaml": {Data: []byte("resources: [app.yaml]\n")},
		"base/app.yaml":           {Data: []byte("apiVersion: example.com/v1\nkind: App\nmetadata: {name: web}\n" + spec + "\n")},
		"clusters/one.yaml": {Data: []byte(`apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: one}
spec: {dns: one.example.com}
`)},
	}
}

func run(t *testing.T, s *scriptedSource) (*controller.Controller, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	f := controller.New(controller.Config{Source: s, Renderer: render.Renderer{}, Interval: time.Millisecond, Timeout: 50 * time.Millisecond, Registerer: registry})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v, want nil after its context ended", err)
		}
	})
	return f, registry
}

// await waits up to a minute until happened returns true.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s never happened", what)
		}
	}
}

func served(f *controller.Controller) string {
	v, err := f.View()
	if err != nil {
		return err.Error()
	}
	m, err := v.Member("one.example.com")
	if err != nil {
		return err.Error()
	}
	body, err := m.Body("apps")
	if err != nil {
		return err.Error()
	}
	return v.Release().Revision + " " + string(body.JSON())
}

func TestFailedReleaseKeepsLastGood(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("main@1", "v1")
	f, _ := run(t, s)
	await(t, "the first release", func() bool { return strings.Contains(served(f), `"tag":"v1"`) })
	good := served(f)

	s.set("main@2", "")
	await(t, "the failure", func() bool { return f.Status().Failed != nil })
	failed := f.Status().Failed
	if failed.Revision != "main@2" || failed.State != fleet.Failed || len(failed.Problems.Faults()) != 1 {
		t.Errorf("Status().Failed = %+v, want main@2 with one fault", failed)
	}
	if got := served(f); got != good {
		t.Errorf("served = %s after a failure, want %s", got, good)
	}

	s.set("main@1", "v1")
	await(t, "the end of the failure", func() bool { return f.Status().Failed == nil })
	s.set("main@3", "v3")
	await(t, "the next valid release", func() bool { return strings.Contains(served(f), `"tag":"v3"`) })
}

func TestNothingIsServedBeforeTheFirstValidRelease(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.fail(errors.New("connection refused"))
	f, _ := run(t, s)
	for _, want := range []string{"the source does not answer", "newest revision has faults"} {
		await(t, want, func() bool { return strings.Contains(served(f), want) })
		if _, err := f.View(); !errors.Is(err, fleet.ErrNotReady) {
			t.Errorf("View() = %v, want ErrNotReady", err)
		}
		s.set("main@1", "")
	}
	s.set("main@2", "v2")
	await(t, "a valid release", func() bool { return strings.Contains(served(f), `"tag":"v2"`) })
}

func TestUnavailableSourceKeepsLastGoodUntilItReturns(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("main@1", "v1")
	f, _ := run(t, s)
	await(t, "the first release", func() bool { return strings.Contains(served(f), `"tag":"v1"`) })
	s.fail(errors.New("no route to host"))
	await(t, "an error of the source", func() bool { return f.Status().SourceError != nil })
	if got := served(f); !strings.Contains(got, `"tag":"v1"`) {
		t.Errorf("served = %s while the source is unavailable", got)
	}
	s.set("main@2", "v2")
	await(t, "the next release", func() bool { return strings.Contains(served(f), `"tag":"v2"`) })
	if err := f.Status().SourceError; err != nil {
		t.Errorf("Status().SourceError = %v once the source is back", err)
	}
}

func TestPanicInASourceIsASourceError(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("main@1", "v1")
	f, _ := run(t, s)
	await(t, "the first release", func() bool { return strings.Contains(served(f), `"tag":"v1"`) })
	panics := func(is bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.panics = is
	}
	panics(true)
	await(t, "an error of the source", func() bool { return f.Status().SourceError != nil })
	if err := f.Status().SourceError; !strings.Contains(err.Error(), "scripted panic") {
		t.Errorf("SourceError = %v, want the panic", err)
	}
	if got := served(f); !strings.Contains(got, `"tag":"v1"`) {
		t.Errorf("served = %s while the source panics", got)
	}
	panics(false)
	s.set("main@2", "v2")
	await(t, "the next release", func() bool { return strings.Contains(served(f), `"tag":"v2"`) })
}

func TestRevisionThatIsNotUTF8IsReleased(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("caf\xe9@1", "v1")
	f, _ := run(t, s)
	await(t, "the release", func() bool { return strings.Contains(served(f), `"tag":"v1"`) })
}

func TestHungFetchTimesOutAndIsRetried(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("main@1", "v1")
	s.hangs = true
	f, _ := run(t, s)
	await(t, "a release", func() bool { return strings.Contains(served(f), `"tag":"v1"`) })
}

func TestRefusedRevisionIsAFailedRelease(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("main@1", "v1")
	f, _ := run(t, s)
	await(t, "the first release", func() bool { return strings.Contains(served(f), `"tag":"v1"`) })
	good := served(f)
	s.fail(fmt.Errorf("git repository x: %w", &fleet.RefusedError{
		Revision: "main@2", Problem: fleet.Problem{File: "huge.bin", Message: "is larger than 16 MiB"},
	}))
	await(t, "the failure", func() bool { return f.Status().Failed != nil })
	status := f.Status()
	if status.Failed.Revision != "main@2" || status.Failed.Problems.Error() != "huge.bin: is larger than 16 MiB" || status.SourceError != nil {
		t.Errorf("Status() = %+v, want main@2 failed and no source error", status)
	}
	if got := served(f); got != good {
		t.Errorf("served = %s, want %s", got, good)
	}
	s.set("main@1", "v1")
	await(t, "the end of the failure", func() bool { return f.Status().Failed == nil })
}

// emptyRenderer renders nothing for every cluster and reports no problem.
type emptyRenderer struct{ render.Renderer }

func (n emptyRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	repo, err := n.Renderer.Compile(ctx, tree)
	return emptyRepo{repo}, err
}

type emptyRepo struct{ fleet.Repo }

func (emptyRepo) Render(context.Context, *fleet.Cluster, []*fleet.Delta, *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	return nil, nil
}

func TestEmptyRenderingIsAFault(t *testing.T) {
	t.Parallel()
	snapshot := &fleet.Snapshot{Revision: "r", Tree: tree("v1")}
	view, problems, err := view.Prepare(context.Background(), emptyRenderer{}, snapshot, nil, nil)
	if view != nil || err != nil || !strings.Contains(problems.Error(), `cluster "one": is rendered to nothing`) {
		t.Errorf("Prepare = %v, %v, %v, want a fault of the cluster", view, problems, err)
	}
}

func TestFailedWatchIsRetried(t *testing.T) {
	t.Parallel()
	s := newSource()
	run(t, s)
	await(t, "a second Watch", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.watches == 2
	})
}

func TestViewNamesWhatIsNotFound(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("main@1", "v1")
	f, _ := run(t, s)
	await(t, "a release", func() bool { _, err := f.View(); return err == nil })
	v, err := f.View()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Member("two"); !errors.Is(err, fleet.ErrNotFound) || err.Error() != `cluster "two": not found` {
		t.Errorf("Member(two) = %v", err)
	}
	m, err := v.Member("one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Body("other"); !errors.Is(err, fleet.ErrNotFound) || err.Error() != `input set "other": not found` {
		t.Errorf("Body(other) = %v", err)
	}
	if _, err := v.Object(t.Context(), m, fleet.ObjectName{Kind: "app", Name: "web"}); err != nil {
		t.Errorf("Object(app, web) = %v", err)
	}
	other := "other.example.com"
	if _, err := v.Object(t.Context(), m, fleet.ObjectName{Kind: "App", Name: "web", Group: &other}); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Object of another group = %v, want ErrNotFound", err)
	}
}

func TestMetricsReportLiveAndFailedReleases(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.set("main@1", "v1")
	f, registry := run(t, s)
	await(t, "a release", func() bool { _, err := f.View(); return err == nil })
	s.set("main@1b", "v1b")
	await(t, "another", func() bool { return strings.Contains(served(f), "v1b") })
	s.set("main@2", "")
	await(t, "the failure", func() bool { return f.Status().Failed != nil })
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, family := range families {
		for _, m := range family.Metric {
			name := family.GetName()
			for _, l := range m.Label {
				name += fmt.Sprintf("{%s=%s}", l.GetName(), l.GetValue())
			}
			got[name] = fmt.Sprint(m.GetGauge().GetValue() + m.GetCounter().GetValue())
		}
	}
	if _, old := got["tributary_live_release_info{revision=main@1}"]; old {
		t.Error("the metric of a revision that is no longer live is still there")
	}
	view, err := f.View()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"tributary_live_release_timestamp_seconds":      fmt.Sprint(float64(view.Release().At.Unix())),
		"tributary_live_release_info{revision=main@1b}": "1", "tributary_clusters": "1",
		"tributary_release_failing": "1", "tributary_failures_total{stage=render}": "1",
	} {
		if got[name] != want {
			t.Errorf("%s = %s, want %s", name, got[name], want)
		}
	}
}

func TestPrepareEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	snapshot := &fleet.Snapshot{Revision: "r", Tree: tree("v1")}
	if view, _, err := view.Prepare(ctx, render.Renderer{}, snapshot, nil, nil); view != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Prepare = %v, %v, want context.Canceled", view, err)
	}
}
