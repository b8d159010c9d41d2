package sqlstore

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// BenchmarkAppendOfAWholeFleet measures changes that write an assignment for each of 10,000
// clusters: a pin on the whole fleet, a takeover that rewrites all rows with their previous ones,
// a change that gives each cluster another content, and an abort that drops all.
func BenchmarkAppendOfAWholeFleet(b *testing.B) {
	onBothBenched(b, func(b *testing.B, url string) {
		const clusters = 10_000
		s := openBench(b, url)
		release := func(n string) fleet.ReleaseRef {
			return fleet.ReleaseRef{Revision: "main@sha1:" + n, Snapshot: "sha256:" + n}
		}
		steps := []struct {
			name  string
			after func(n int, before *fleet.Assignment, generation int64) *fleet.Assignment
		}{
			{"pin", func(_ int, _ *fleet.Assignment, generation int64) *fleet.Assignment {
				return &fleet.Assignment{Release: release("1"), Reason: fleet.ReasonSuperseded, Detail: "freeze", Since: generation}
			}},
			{"takeover", func(_ int, before *fleet.Assignment, generation int64) *fleet.Assignment {
				return &fleet.Assignment{Release: release("2"), Reason: fleet.ReasonRollout, Since: generation, Previous: before}
			}},
			{"all-differ", func(n int, _ *fleet.Assignment, generation int64) *fleet.Assignment {
				return &fleet.Assignment{Release: release("2"), Reason: fleet.ReasonFailing, Detail: fmt.Sprintf("clusters/eu-prod-%d.yaml:7: a fault", n), Since: generation}
			}},
			{"drop", func(int, *fleet.Assignment, int64) *fleet.Assignment { return nil }},
		}
		took := map[string][]float64{}
		now := make([]*fleet.Assignment, clusters)
		generation := int64(0)
		for b.Loop() {
			for _, step := range steps {
				generation++
				c := &fleet.Change{Generation: generation, At: time.Now(), Kind: fleet.Pinned, Actor: "ada"}
				for n := range clusters {
					name := fmt.Sprintf("eu-prod-%05d", n)
					x := fleet.AssignmentChange{Cluster: name, Before: now[n], After: step.after(n, now[n], generation)}
					if x.After != nil {
						x.After.Cluster = name
					}
					now[n] = x.After
					c.Assignments, c.Clusters = append(c.Assignments, x), append(c.Clusters, name)
				}
				took[step.name] = append(took[step.name], millis(func() error { return s.Append(b.Context(), c) }, b))
			}
		}
		b.ReportMetric(0, "ns/op") // an op is one of each, which means nothing
		for _, step := range steps {
			b.ReportMetric(median(took[step.name]), step.name+"-ms")
		}
	})
}

// BenchmarkAppendForManyClusters is of a group's delta, for 300 clusters.
func BenchmarkAppendForManyClusters(b *testing.B) {
	onBothBenched(b, func(b *testing.B, url string) {
		s := openBench(b, url)
		generation := int64(0)
		for b.Loop() {
			generation++
			c := oneDelta(generation)
			for n := range 299 {
				c.Clusters = append(c.Clusters, fmt.Sprintf("eu-prod-02-%03d", n))
			}
			if err := s.Append(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func onBothBenched(b *testing.B, bench func(b *testing.B, url string)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, newSQLiteFile(b)) })
	b.Run("postgres", func(b *testing.B) { bench(b, pgtest.Shared(b).Database(b)) })
}

func openBench(b *testing.B, url string) *Store {
	b.Helper()
	s, err := Open(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// oneDelta returns a change of the delta of one cluster, which from the second change on replaces
// another.
func oneDelta(generation int64) *fleet.Change {
	version := func(n int64) *fleet.Delta {
		return &fleet.Delta{Cluster: "eu-prod-01", Edits: []fleet.Edit{{
			Kind: "PlatformComponent", Name: "keda",
			Patch: json.RawMessage(fmt.Sprintf(`{"spec":{"values":{"replicaCount":%d}}}`, n%10)),
		}}}
	}
	d := fleet.DeltaChange{Delta: fleet.OwnID("eu-prod-01"), Before: version(generation - 1), After: version(generation)}
	if generation == 1 {
		d.Before = nil
	}
	return &fleet.Change{
		Generation: generation, At: time.Now(), Kind: fleet.Written, Actor: "ada", Reason: "more replicas",
		Deltas: []fleet.DeltaChange{d}, Clusters: []string{"eu-prod-01"},
	}
}

func millis(do func() error, b *testing.B) float64 {
	start := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return float64(time.Since(start).Nanoseconds()) / 1e6
}

// median leaves out the turns in which the machine did something else.
func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
