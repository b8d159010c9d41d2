package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
)

// BenchmarkDeltaOverHTTP asks how long a client waits for a patch of an object of one
// cluster of the default fleet to be durable and visible, which most of them do and few
// must not exceed; and the same while one commit to the base is rendered after another.
func BenchmarkDeltaOverHTTP(b *testing.B) {
	s := newServing(b, newOrigin(b, synthetic.Default()), "sqlite:"+filepath.Join(b.TempDir(), "tributary.db"))
	defer s.kill()
	s.patches(1_000) // most of what follows has an edit to fold into
	calm := s.patches(2_000)
	done := make(chan struct{})
	var busy []float64
	go func() {
		defer close(done)
		for range 5 {
			s.commitBase()
		}
	}()
	for n := 0; ; n++ {
		select {
		case <-done:
			reportPatches(b, calm, busy)
			return
		default:
			busy = append(busy, s.patch(n%1_000))
			time.Sleep(time.Millisecond) // or a server without a pause does nothing but write
		}
	}
}

func reportPatches(b *testing.B, calm, busy []float64) {
	b.ReportMetric(0, "ns/op") // setting up, which means nothing to anyone
	b.ReportMetric(middle(calm), "ms")
	b.ReportMetric(percentile(calm, 99), "p99-ms")
	b.ReportMetric(middle(busy), "rendering-ms")
	b.ReportMetric(percentile(busy, 99), "rendering-p99-ms")
	b.ReportMetric(float64(len(busy)), "patches-while-rendering")
}

func percentile(of []float64, p int) float64 {
	slices.Sort(of)
	return of[len(of)*p/100]
}

// patches are what as many patches took in milliseconds.
func (s serving) patches(count int) (took []float64) {
	s.t.Helper()
	for n := range count {
		took = append(took, s.patch(n%1_000))
	}
	return took
}

func (s serving) patch(cluster int) float64 {
	s.t.Helper()
	path := "/api/v1/clusters/" + s.o.ClusterName(cluster) + "/objects/PlatformComponent/keda"
	body := fmt.Sprintf(`{"spec": {"values": {"replicaCount": %d}}}`, time.Now().UnixNano()%1_000_000)
	begun := time.Now()
	status, _, text := s.try(http.MethodPatch, path, body, "Content-Type", "application/merge-patch+json")
	took := millis(begun)
	if status != http.StatusOK {
		s.t.Fatalf("patch = %d %s", status, text)
	}
	return took
}
