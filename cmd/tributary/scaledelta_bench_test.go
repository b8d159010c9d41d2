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

// BenchmarkDeltaOverHTTP measures how long a client waits until a patch of an object of one
// cluster of the default fleet is durable and visible, as median and 99th percentile; and
// the same during commits to the base.
func BenchmarkDeltaOverHTTP(b *testing.B) {
	s := newServing(b, newOrigin(b, synthetic.Default()), "sqlite:"+filepath.Join(b.TempDir(), "tributary.db"))
	defer s.kill()
	s.patches(1_000) // so that most of the measured patches change an existing delta
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
			time.Sleep(time.Millisecond) // so that the server is not busy with writes alone
		}
	}
}

func reportPatches(b *testing.B, calm, busy []float64) {
	b.ReportMetric(0, "ns/op") // dominated by the setup
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

// patches returns the times of n patches, in milliseconds.
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
