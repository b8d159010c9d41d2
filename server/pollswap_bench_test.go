package server_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/sources"
)

// BenchmarkPollsWhileReleasesSwap asks whether polls notice that releases go live: the
// 99th percentile of the time that a poll takes while each second a release goes live that
// changes every input of every cluster, as a ratio to that without. The fleet is live, with
// the real renderer and a SQLite change log: 1,000 clusters of 30 inputs, two patches each.
// Clusters poll in turn, 500 a second, from a process of their own, over keep-alive
// connections, with gzip and a token; a poll is measured from when it is due, and none waits for
// another. So the first poll of a body, which has it compressed, is among them. Windows of
// three seconds with and without swaps alternate; the ratio is that of the medians of their
// percentiles. An op is a window of each.
func BenchmarkPollsWhileReleasesSwap(b *testing.B) {
	f := newSwapped(b)
	f.window(b, false)
	var with, without []float64
	for b.Loop() {
		without = append(without, f.window(b, false))
		with = append(with, f.window(b, true))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(without), "still-p99-µs")
	b.ReportMetric(median(with), "swapping-p99-µs")
	b.ReportMetric(median(with)/median(without), "ratio")
}

const swapClusters = 1_000

// swapped is a fleet whose releases can be swapped, and who polls it.
type swapped struct {
	source  *swapSource
	live    *fleet.Fleet
	address string
}

// swapSource is at the revision of its number, whose tree has it in each input.
type swapSource struct {
	mu sync.Mutex
	n  int
}

func (s *swapSource) String() string                      { return "memory:swap" }
func (s *swapSource) Watch(context.Context, func()) error { return nil }
func (s *swapSource) Fetch(_ context.Context, known string) (*fleet.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	revision := fmt.Sprintf("main@sha1:%040x", s.n)
	if revision == known {
		return nil, nil
	}
	return &fleet.Snapshot{Revision: revision, Tree: swapTree(s.n)}, nil
}

// swap has another release go live, and returns when polls see it.
func (f *swapped) swap() {
	f.source.mu.Lock()
	f.source.n++
	revision := fmt.Sprintf("main@sha1:%040x", f.source.n)
	f.source.mu.Unlock()
	f.live.Look()
	for {
		if view, err := f.live.View(); err == nil && view.Release().Revision == revision {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func swapTree(n int) fs.FS {
	tree := fstest.MapFS{}
	put := func(path, text string) { tree[path] = &fstest.MapFile{Data: []byte(text)} }
	put("fleet.yaml", liveFleet["fleet.yaml"])
	put("schemas/app.json", `{"type": "object"}`)
	put("base/kustomization.yaml", "resources: [apps.yaml]\n")
	apps := "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"
	for i := range 30 {
		apps += fmt.Sprintf("---\napiVersion: example.com/v1\nkind: App\nmetadata: {name: app-%02d}\nspec: {tag: v%d, replicas: 1, chart: 'oci://registry.example.com/charts/app-%[1]d', values: {image: {repository: registry.example.com/app-%[1]d}, service: {port: 80}}}\n", i, n)
	}
	put("base/apps.yaml", apps)
	for i := range swapClusters {
		put(fmt.Sprintf("clusters/c%04d.yaml", i), fmt.Sprintf(`apiVersion: tributary/v1alpha1
kind: Cluster
metadata: {name: c%04d, labels: {environment: prod}}
spec:
  patches:
  - {target: {kind: App, name: app-%02d}, patch: '[{"op": "replace", "path": "/spec/replicas", "value": %d}]'}
  - {target: {kind: App, name: app-%02[4]d}, patch: '[{"op": "replace", "path": "/spec/replicas", "value": %[3]d}]'}
`, i, i%30, i, (i+7)%30))
	}
	return tree
}

func newSwapped(b *testing.B) *swapped {
	b.Helper()
	store, err := sqlstore.Open(b.Context(), "sqlite:"+filepath.Join(b.TempDir(), "tributary.db"))
	must(b, err)
	f := &swapped{source: &swapSource{}}
	f.live = fleet.New(fleet.Config{Source: f.source, Renderer: render.NewRenderer(), Interval: time.Hour, Store: store, Archive: sources.NewArchive()})
	tokens := writeFile(b, "tokens.yaml", fmt.Sprintf(`tokens: [{name: herd, role: viewer, hash: "%s"}]`, hash(viewerToken)))
	s, err := server.New(server.Config{Fleet: f.live, TokensFile: tokens})
	must(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- f.live.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-followed; _ = store.Close() })
	f.address = listening(b, func(ln net.Listener) { _ = s.Serve(ctx, ln) })
	eventually(b, func() bool { _, err := f.live.View(); return err == nil })
	return f
}

// window polls for a while, with a release swapped in every second or without, and
// returns the 99th percentile of what a poll took, in microseconds.
func (f *swapped) window(b *testing.B, swapping bool) float64 {
	b.Helper()
	done := make(chan struct{})
	var swaps sync.WaitGroup
	if swapping {
		swaps.Go(func() {
			for tick := time.NewTicker(time.Second); ; {
				f.swap()
				select {
				case <-tick.C:
				case <-done:
					return
				}
			}
		})
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestPollsOfAnotherProcess$")
	cmd.Env = append(os.Environ(), pollsOf+"="+f.address)
	out, err := cmd.Output()
	close(done)
	swaps.Wait()
	var p99 float64
	if _, scanned := fmt.Sscanf(string(out), "p99 %g", &p99); err != nil || scanned != nil {
		b.Fatalf("the process that polls: %v\n%s", err, out)
	}
	return p99
}
