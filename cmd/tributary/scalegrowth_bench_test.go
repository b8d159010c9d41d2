package main

import (
	"fmt"
	"testing"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
)

// BenchmarkGrowth measures how the costs of a fleet grow with the number of its clusters.
func BenchmarkGrowth(b *testing.B) {
	for _, clusters := range []int{1_000, 10_000, 50_000} {
		b.Run(fmt.Sprintf("clusters=%d", clusters), func(b *testing.B) {
			options := synthetic.Default()
			options.Clusters = clusters
			b.ReportMetric(0, "ns/op") // dominated by the setup
			o := newOrigin(b, options)
			growProcess(b, o, growCommits(b, o))
		})
	}
}

// growCommits measures the two kinds of commit, and returns the store that results. For
// commits to one cluster it reports the mean, because garbage is collected in a third to a
// half of them, and a median would count that as nothing or as everything.
func growCommits(b *testing.B, o *origin) (store string) {
	b.Helper()
	f := followed(b, o)
	defer f.stop()
	f.await(o.revision())
	var base baseCommits
	var one []float64
	for range 5 {
		f.commitBase(o, &base)
	}
	for range 15 {
		one = append(one, f.commitCluster(o))
	}
	b.ReportMetric(middle(base.webhook), "base-s")
	b.ReportMetric(mean(one), "one-ms")
	return f.url
}

// growProcess measures the start of a server with that store, and its memory after every
// poll of every cluster was answered.
func growProcess(b *testing.B, o *origin, store string) {
	b.Helper()
	var took []float64
	for range 3 {
		took = append(took, coldStart(b, o, store))
	}
	held := memoryOf(b, o, nil)
	b.ReportMetric(middle(took), "start-s")
	b.ReportMetric(held.now/1e6, "MB")
}

func mean(of []float64) (m float64) {
	for _, x := range of {
		m += x / float64(len(of))
	}
	return m
}
