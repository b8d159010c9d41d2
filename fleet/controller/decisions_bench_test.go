package controller_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// timedStore records when a change is appended.
type timedStore struct {
	fleet.Store
	appended atomic.Int64 // the start of the last Append, in Unix nanoseconds
}

func (s *timedStore) Append(ctx context.Context, c *fleet.Change) error {
	s.appended.Store(time.Now().UnixNano())
	return s.Store.Append(ctx, c)
}

// tenThousand returns a fleet repo of 10,000 clusters and a rollout in two waves of 5,000 clusters. The
// version is that of its only app.
func tenThousand(version int) fstest.MapFS {
	tree := acme("base/web.yaml", app("web", fmt.Sprintf("{tag: v%d}", version)))
	for _, name := range []string{"ann", "bob", "cid"} {
		delete(tree, "clusters/"+name+".yaml")
	}
	var clusters []byte
	for i := range 10_000 {
		clusters = fmt.Appendf(clusters, "---\napiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c%04d, labels: {environment: %s}}\nspec: {dns: c%04[1]d.example.com}\n", i, []string{"dev", "prod"}[i%2])
	}
	tree["clusters/all.yaml"] = &fstest.MapFile{Data: clusters}
	tree["fleet.yaml"] = &fstest.MapFile{Data: append(tree["fleet.yaml"].Data, "  rollout: {waves: [{name: dev, selector: {matchLabels: {environment: dev}}, soak: 1h}]}\n"...)}
	return tree
}

// BenchmarkDecisionsOverTenThousand measures decisions that write rows for thousands of clusters: a
// wave of 5,000, its abort, and a pin and unpin of all 10,000. Each is measured from the append until
// the view is published (commit-ms), and apart from that what comes before: rules, rendering and
// guard (evaluate-ms).
func BenchmarkDecisionsOverTenThousand(b *testing.B) {
	s := newSource()
	s.put("main@1", tenThousand(1))
	store := &timedStore{Store: openStore(b, sqliteFile(b))}
	r := start(b, s, store)
	r.awaitRevision("main@1")
	evaluate, commit := map[string][]float64{}, map[string][]float64{}
	measure := func(name string, do func() error) {
		b.Helper()
		changed, begun := r.Changed(), time.Now()
		published := make(chan time.Time, 1)
		go func() {
			<-changed
			published <- time.Now()
		}()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		end, appended := <-published, time.Unix(0, store.appended.Load())
		evaluate[name] = append(evaluate[name], float64(appended.Sub(begun).Microseconds())/1000)
		commit[name] = append(commit[name], float64(end.Sub(appended).Microseconds())/1000)
	}
	for version := 2; b.Loop(); version++ {
		revision := fmt.Sprintf("main@%d", version)
		measure("wave", func() error {
			r.source.put(revision, tenThousand(version))
			r.Look()
			r.await(revision, func() bool { return r.stateOf(revision) == fleet.Live })
			return nil
		})
		measure("abort", func() error {
			_, err := r.Decide(context.Background(), ada, fleet.Abort, revision, "")
			return err
		})
		measure("pin", func() error {
			_, err := r.Pin(context.Background(), ada, fleet.Pin{Name: "all", Scope: fleet.Scope{Selector: &fleet.Selector{}}, Release: "main@1"})
			return err
		})
		measure("unpin", func() error {
			_, err := r.Unpin(context.Background(), ada, "all")
			return err
		})
	}
	for name := range commit {
		b.ReportMetric(median(commit[name]), name+"-commit-ms")
		b.ReportMetric(median(evaluate[name]), name+"-evaluate-ms")
	}
}
