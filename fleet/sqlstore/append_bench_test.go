package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// BenchmarkAppendAgainstBareTransaction asks what Append of a change of one
// delta costs beside the database itself: its time as a ratio to that of a bare
// transaction which writes the same rows into the same tables by the same driver,
// with statements prepared ahead. The two take turns on two databases, so that
// whatever else the machine does meets both alike.
func BenchmarkAppendAgainstBareTransaction(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { againstBare(b, openBench(b, sqliteFile(b)), openBench(b, sqliteFile(b))) })
	b.Run("postgres", func(b *testing.B) {
		server := pgtest.Start(b)
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
		theirs = append(theirs, micros(func() error { return bare.write(c) }, b))
		ours = append(ours, micros(func() error { return s.Append(b.Context(), c) }, b))
	}
	b.ReportMetric(0, "ns/op") // an op is a turn of each, which means nothing to anyone
	b.ReportMetric(median(theirs), "bare-µs")
	b.ReportMetric(median(ours), "append-µs")
	b.ReportMetric(median(ours)/median(theirs), "ratio")
}

// BenchmarkAppendForManyClusters is of a group's delta, for 300 clusters.
func BenchmarkAppendForManyClusters(b *testing.B) {
	s := openBench(b, sqliteFile(b))
	generation := int64(0)
	for b.Loop() {
		generation++
		c := oneDelta(generation)
		for n := range 299 {
			c.Clusters = append(c.Clusters, "eu-prod-02-"+string(rune('a'+n/26))+string(rune('a'+n%26)))
		}
		if err := s.Append(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// sqliteFile is the URL of a database that is yet to be made.
func sqliteFile(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "tributary.db")
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

// oneDelta changes the delta of one cluster, which from the second change on
// was another.
func oneDelta(generation int64) *fleet.Change {
	version := func(n int64) *fleet.Delta {
		return &fleet.Delta{Cluster: "eu-prod-01", Edits: []fleet.Edit{{
			Kind: "PlatformComponent", Name: "keda",
			Patch: json.RawMessage(`{"spec":{"values":{"replicaCount":` + string(rune('0'+n%10)) + `}}}`),
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
	b                                              *testing.B
	db                                             *sql.DB
	head, change, cluster, deltaChange, inForceNow *sql.Stmt
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
		b: b, db: db,
		head:        prepare(`UPDATE head SET generation = $1`),
		change:      prepare(`INSERT INTO changes (generation, made_at, kind, actor, reason) VALUES ($1, $2, $3, $4, $5)`),
		cluster:     prepare(`INSERT INTO change_clusters VALUES ($1, $2)`),
		deltaChange: prepare(`INSERT INTO delta_changes VALUES ($1, $2, $3, $4)`),
		inForceNow: prepare(`INSERT INTO deltas (delta, generation) VALUES ($1, $2)
			ON CONFLICT (delta) DO UPDATE SET generation = excluded.generation`),
	}
}

func (w *bare) write(c *fleet.Change) error {
	d := c.Deltas[0]
	documents, err := documentsOf(c)
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
		{w.deltaChange, []any{c.Generation, d.Delta, documents.deltas[0].was, documents.deltas[0].became}},
		{w.inForceNow, []any{d.Delta, c.Generation}},
	} {
		if _, err := tx.StmtContext(ctx, step.stmt).ExecContext(ctx, step.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func micros(do func() error, b *testing.B) float64 {
	start := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return float64(time.Since(start).Nanoseconds()) / 1e3
}

// median leaves out the turns in which the machine did something else.
func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
