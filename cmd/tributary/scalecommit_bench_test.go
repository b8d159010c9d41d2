package main

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/cmd/fleetgen/synthetic"
)

// BenchmarkBaseCommit measures the time from the webhook of a commit to the base of the
// default fleet until the new inputs of every cluster are live and every poll is answered.
// It compares this with kustomize for as many clusters: as a process for each cluster, and
// in this process. To estimate that, kustomize builds one cluster of each stack, in turns
// with Tributary.
func BenchmarkBaseCommit(b *testing.B) {
	o := newOrigin(b, synthetic.Default())
	sample := make([]int, o.Stacks)
	for i := range sample {
		sample[i] = o.Clusters/2 + i
	}
	k := newOverlaid(b, o, sample)
	f := followed(b, o)
	defer f.stop()
	f.await(o.revision())
	var ours baseCommits
	var processes, calls []float64
	for range 7 {
		f.commitBase(o, &ours)
		for _, i := range sample {
			cluster := o.ClusterName(i)
			processes = append(processes, seconds(func() { k.build(cluster) }))
			calls = append(calls, seconds(func() { k.run(cluster) }))
		}
	}
	fleetOf := func(one []float64) float64 { return middle(one) * float64(o.Clusters) }
	b.ReportMetric(0, "ns/op") // dominated by the setup
	b.ReportMetric(middle(ours.webhook), "s")
	b.ReportMetric(middle(ours.look), "look-s")
	b.ReportMetric(middle(ours.bodies), "bodies-s")
	b.ReportMetric(middle(processes)*1000, "kustomize-ms")
	b.ReportMetric(middle(calls)*1000, "krusty-ms")
	b.ReportMetric(fleetOf(processes)/middle(ours.webhook), "kustomize-ratio")
	b.ReportMetric(fleetOf(calls)/middle(ours.webhook), "krusty-ratio")
}

// baseCommits are the times of commits to the base, in seconds: from the webhook until all
// polls are answered, from the fetch until the release is live, and from then until all
// polls are answered.
type baseCommits struct{ webhook, look, bodies []float64 }

func (f *following) commitBase(o *origin, took *baseCommits) {
	f.b.Helper()
	revision, begun := o.commitBase(), time.Now()
	f.Look()
	f.await(revision)
	live := time.Now()
	f.eachAnswer(func(string, []byte) {})
	took.webhook = append(took.webhook, time.Since(begun).Seconds())
	took.look = append(took.look, live.Sub(f.source.looked()).Seconds())
	took.bodies = append(took.bodies, time.Since(live).Seconds())
	f.reached(o)
}

func seconds(do func()) float64 {
	begun := time.Now()
	do()
	return time.Since(begun).Seconds()
}

// reached fails if the inputs of a cluster lack the last commit to the base.
func (f *following) reached(o *origin) {
	f.b.Helper()
	tag := fmt.Appendf(nil, `"oci_tag":"1.0.%d"`, o.commits)
	var answers atomic.Int64
	f.eachAnswer(func(set string, answer []byte) {
		if set == "platform-components" && bytes.Contains(answer, tag) {
			answers.Add(1)
		}
	})
	if got := answers.Load(); got != int64(o.Clusters) {
		f.b.Fatalf("%d clusters are answered with %s, want %d", got, tag, o.Clusters)
	}
}

// middle returns the median, which ignores turns that other load slowed down.
func middle(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkClusterCommit measures a commit that changes the file of one cluster, from the
// fetch until it is live, and the same commit for a fleet that has nothing to reuse.
func BenchmarkClusterCommit(b *testing.B) {
	o := newOrigin(b, synthetic.Default())
	f := followed(b, o)
	defer f.stop()
	f.await(o.revision())
	var ours []float64
	for range 15 {
		ours = append(ours, f.commitCluster(o))
	}
	var cold []float64
	for range 3 {
		f := followed(b, o)
		f.await(o.revision())
		cold = append(cold, millis(f.source.looked()))
		f.stop()
	}
	b.ReportMetric(0, "ns/op") // dominated by the setup
	b.ReportMetric(middle(ours), "ms")
	b.ReportMetric(slices.Max(ours), "ms-worst")
	b.ReportMetric(middle(cold), "cold-ms")
	b.ReportMetric(middle(cold)/middle(ours), "ratio")
}

// commitCluster returns the time of a commit to the file of one cluster, from the fetch until
// the release is live, in milliseconds.
func (f *following) commitCluster(o *origin) float64 {
	f.b.Helper()
	revision := o.commitCluster()
	f.Look()
	f.await(revision)
	return millis(f.source.looked())
}

func millis(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }
