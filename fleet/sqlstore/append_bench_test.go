package sqlstore

import (
	"context"
	"database/sql"
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

// BenchmarkAppendAgainstBareTransaction compares Append of a change of one delta with a bare
// transaction that writes the same rows into the same tables by the same driver, with prepared
// statements. The two take turns on two databases, so that whatever else the machine does meets
// both.
func BenchmarkAppendAgainstBareTransaction(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { againstBare(b, openBench(b, newSQLiteFile(b)), openBench(b, newSQLiteFile(b))) })
	b.Run("postgres", func(b *testing.B) {
		server := pgtest.Shared(b)
		againstBare(b, openBench(b, server.Database(b)), openBench(b, server.Database(b)))
	})
}

func againstBare(b *testing.B, s, other *Store) {
	bare := newBare(b, other.writer)
	var ours, theirs []float64
	generation := int64(0)
	for b.Loop() {
		generation++
		c := oneDelta(generation)
		theirs = append(theirs, millis(func() error { return bare.write(c) }, b))
		ours = append(ours, millis(func() error { return s.Append(b.Context(), c) }, b))
	}
	b.ReportMetric(0, "ns/op") // an op is a turn of each, which means nothing
	b.ReportMetric(1e3*median(theirs), "bare-µs")
	b.ReportMetric(1e3*median(ours), "append-µs")
	b.ReportMetric(median(ours)/median(theirs), "ratio")
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

// bare is a transaction by hand.
type bare struct {
	db                                            *sql.DB
	head, change, cluster, deltaChange, currently *sql.Stmt
}

func newBare(b *testing.B, db *sql.DB) *bare {
	prepare := func(text string) *sql.Stmt {
		stmt, err := db.Prepare(text)
		if err != nil {
			b.Fatal(err)
		}
		return stmt
	}
	return &bare{
		db:          db,
		head:        prepare(`UPDATE head SET generation = $1`),
		change:      prepare(`INSERT INTO changes (generation, made_at, kind, actor, reason, for_assigned) VALUES ($1, $2, $3, $4, $5, FALSE)`),
		cluster:     prepare(`INSERT INTO change_clusters VALUES ($1, $2)`),
		deltaChange: prepare(`INSERT INTO delta_changes VALUES ($1, $2, $3, $4)`),
		currently: prepare(`INSERT INTO deltas (delta, generation) VALUES ($1, $2)
			ON CONFLICT (delta) DO UPDATE SET generation = excluded.generation`),
	}
}

func (w *bare) write(c *fleet.Change) error {
	rows, err := rowsOf(deltaLedger, c.Deltas, nil, splitDelta)
	if err != nil {
		return err
	}
	ctx := context.Background()
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		stmt *sql.Stmt
		args []any
	}{
		{w.head, []any{c.Generation}},
		{w.change, []any{c.Generation, c.At.UnixMicro(), string(c.Kind), c.Actor, c.Reason}},
		{w.cluster, []any{c.Generation, c.Clusters[0]}},
		{w.deltaChange, []any{c.Generation, rows[0].id, rows[0].was, rows[0].became}},
		{w.currently, []any{rows[0].id, c.Generation}},
	} {
		if _, err := tx.StmtContext(ctx, step.stmt).ExecContext(ctx, step.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
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
