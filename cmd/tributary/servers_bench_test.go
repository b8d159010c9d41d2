package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// BenchmarkWriteSeenByTheOtherServer measures the time from the acknowledgement of a write on
// one server until a poll of another server shows it. Both are processes on one PostgreSQL,
// with a fleet of 200 clusters.
func BenchmarkWriteSeenByTheOtherServer(b *testing.B) {
	f := newServedFleet(b, time.Minute)
	args := []string{f.repo.url, "--interval", "1h", "--store", pgtest.Start(b).Database(b), "--log-level", "error", "--poll-rate", "0", "--request-rate", "0"}
	one, other := newProcess(b, args...), newProcess(b, args...)
	writer, poller := &line{addr: one.listen, keep: true}, &line{addr: other.listen, keep: true}
	var took []float64
	for n := 0; b.Loop(); n++ {
		cluster := f.repo.clusters[n%len(f.repo.clusters)]
		a, err := writer.ask(http.MethodPatch, "/api/v1/clusters/"+cluster+"/objects/"+f.object, fmt.Sprintf(f.patch, fmt.Sprint(n)),
			"Content-Type", "application/merge-patch+json")
		acknowledged := time.Now()
		var result fleet.Result
		if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &result) != nil {
			b.Fatalf("a write = %d %s, %v", a.status, a.body, err)
		}
		for a.generation = 0; a.generation < result.Generation; {
			if a, err = poller.ask(http.MethodGet, "/api/v1/flux/clusters/"+cluster+"/"+f.set, ""); err != nil || a.status != http.StatusOK {
				b.Fatalf("a poll = %d, %v", a.status, err)
			}
		}
		took = append(took, time.Since(acknowledged).Seconds()*1000)
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // includes the write itself
	b.ReportMetric(took[len(took)/2], "ms")
	b.ReportMetric(took[len(took)*99/100], "p99-ms")
}
