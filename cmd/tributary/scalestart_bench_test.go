package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// BenchmarkColdStart measures the start of a server for the default fleet, from the start of
// the process until it is ready. The store has a delta for each cluster.
func BenchmarkColdStart(b *testing.B) {
	o := newOrigin(b, synthetic.Default())
	store := storeOfDeltas(b, o)
	var took []float64
	for range 5 {
		took = append(took, coldStart(b, o, store))
	}
	b.ReportMetric(0, "ns/op") // dominated by the setup
	b.ReportMetric(middle(took), "s")
}

// coldStart returns the time until the server is ready, in seconds.
func coldStart(b testing.TB, o *origin, store string) float64 {
	b.Helper()
	begun := time.Now()
	s := newServing(b, o, store)
	took := time.Since(begun).Seconds()
	s.kill()
	return took
}

// storeOfDeltas returns a store with a delta for each cluster, each from a separate change.
func storeOfDeltas(b testing.TB, o *origin) string {
	b.Helper()
	f := followed(b, o)
	defer f.stop()
	f.await(o.revision())
	for i := range o.Clusters {
		patch := fleet.ObjectPatch{Type: fleet.MergePatch, Body: fmt.Appendf(nil, `{"spec": {"values": {"replicaCount": %d}}}`, 2+i%5)}
		_, err := f.PatchObject(context.Background(), controller.WriteOptions{Actor: "ada"}, o.ClusterName(i), fleet.ObjectName{Kind: "PlatformComponent", Name: "keda"}, patch)
		if err != nil {
			b.Fatal(err)
		}
	}
	return f.url
}
