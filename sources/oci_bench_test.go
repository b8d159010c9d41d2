package sources_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources"
)

// largeArtifact pushes a directory of 10,000 files of some 4 KB with oras, and
// returns their total size.
func largeArtifact(b *testing.B, server *registryServer, tag string) int {
	b.Helper()
	dir, size := b.TempDir(), 0
	for i := range 10_000 {
		name := filepath.Join(dir, "fleet", fmt.Sprintf("team-%d", i%40), fmt.Sprintf("app-%d", i%200), fmt.Sprintf("object-%d.yaml", i))
		if i < 200 {
			must(b, os.MkdirAll(filepath.Dir(name), 0o755))
		}
		content := noise(3500 + i%1000)
		size += len(content)
		must(b, os.WriteFile(name, []byte(content), 0o644))
	}
	server.oras(dir, "push", server.host+"/fleet:"+tag, "fleet")
	return size
}

// BenchmarkOCIFetch measures a first fetch of 10,000 files. x/oras is its time
// divided by that of oras pull, which must not exceed 1.2.
func BenchmarkOCIFetch(b *testing.B) {
	server := newRegistryServer(b)
	largeArtifact(b, server, "large")
	var ours, theirs time.Duration
	for b.Loop() {
		theirs += server.timePull("fleet:large")
		start := time.Now()
		s, err := sources.Open(server.url("fleet:large"), server.options())
		must(b, err)
		_, err = s.Fetch(b.Context(), "")
		must(b, err)
		must(b, s.Close())
		ours += time.Since(start)
	}
	b.ReportMetric(float64(ours.Milliseconds())/float64(b.N), "ms/fetch")
	b.ReportMetric(float64(ours)/float64(theirs), "x/oras")
	b.ReportMetric(0, "ns/op") // It includes oras' time.
}

// timePull returns how long oras takes to pull, into memory if possible,
// because the time to store 10,000 files on a disk is not compared.
func (r *registryServer) timePull(reference string) time.Duration {
	r.t.Helper()
	memory := "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "tributary-bench-")
	must(r.t, err)
	defer os.RemoveAll(dir)
	start := time.Now()
	r.oras(dir, "pull", r.host+"/"+reference)
	return time.Since(start)
}

// BenchmarkOCILook measures a fetch when nothing has changed, which must take
// only one round trip.
func BenchmarkOCILook(b *testing.B) {
	server := newRegistryServer(b)
	server.pushFlux("fleet:v1", someFiles)
	proxy := server.proxy()
	s := openAs(b, "oci://"+proxy.host()+"/fleet:v1", server.options())
	snapshot, err := s.Fetch(b.Context(), "")
	must(b, err)
	proxy.takeRequests()
	n := 0
	for b.Loop() {
		n++
		snapshot, err := s.Fetch(b.Context(), snapshot.Revision)
		if must(b, err); snapshot != nil {
			b.Fatalf("Fetch = %s, want nothing", snapshot.Revision)
		}
	}
	b.ReportMetric(float64(len(proxy.takeRequests()))/float64(n), "requests/look")
}

// BenchmarkOCIFetchPeakMemory fetches in a process of its own. peak/tree is its
// peak memory divided by the size of the tree, which must not exceed 4.
func BenchmarkOCIFetchPeakMemory(b *testing.B) {
	server := newRegistryServer(b)
	size := largeArtifact(b, server, "large")
	var peak int64
	for b.Loop() {
		r := fetchInChild(b, childFetch{Source: server.url("fleet:large"), Options: server.options()})
		if r.Err != "" {
			b.Fatal(r.Err)
		}
		peak = r.Peak
	}
	b.ReportMetric(float64(peak)/float64(size), "peak/tree")
	b.ReportMetric(float64(size)/(1<<20), "MiB-tree")
}
