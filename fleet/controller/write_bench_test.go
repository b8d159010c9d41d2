package controller_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// benchFleet runs a fleet of 1,000 clusters with 30 inputs each, in ten groups that share a stack.
// 300 clusters are in dev.
func benchFleet(b *testing.B) *rig {
	b.Helper()
	tree := manyClusters(0)
	put := func(path, content string) { tree[path] = &fstest.MapFile{Data: []byte(content)} }
	var objects, clusters strings.Builder
	for i := range 30 {
		fmt.Fprintf(&objects, `---
apiVersion: example.com/v1
kind: App
metadata: {name: app-%02d, labels: {team: platform}}
spec:
  namespace: system-%02d
  source: {oci_url: "oci://registry.example.com/charts/app-%02d", oci_tag: 1.%d.0}
  depends_on: [cert-manager, external-secrets]
  values:
    replicaCount: 2
    image: {repository: registry.example.com/app-%02d, tag: v1.%d.0}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 256Mi}}
    service: {type: ClusterIP, ports: [{name: http, port: 80}, {name: metrics, port: 9090}]}
`, i, i, i, i, i, i)
	}
	for i := range 1_000 {
		environment := "prod"
		if i%10 < 3 {
			environment = "dev"
		}
		fmt.Fprintf(&clusters, "---\napiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: c%03d, labels: {environment: %s, group: g%d}}\nspec: {dns: c%03d.k8s.example.com}\n", i, environment, i%10, i)
	}
	put("base/app.yaml", objects.String())
	put("clusters/all.yaml", clusters.String())
	s := newSource()
	s.put("main@1", tree)
	r := start(b, s, openStore(b, sqliteFile(b)))
	r.awaitRevision("main@1")
	return r
}

// BenchmarkPatchAgainstBareTransaction measures a patch of an object until it is durable and
// visible, relative to a hand-written transaction that writes the same rows with the same driver.
// The two alternate so that other load on the machine affects both.
func BenchmarkPatchAgainstBareTransaction(b *testing.B) {
	againstBare(b, benchFleet(b), "App/app-11", func(n int) string { return fmt.Sprintf("c%03d", n*37%100) })
}

// againstBare patches the object in one cluster after another and runs the bare transaction after
// each patch. Most clusters should have an edit of the object already.
func againstBare(b *testing.B, r *rig, object string, cluster func(n int) string) {
	b.Helper()
	bare := newBare(b)
	var ours, theirs []float64
	n := 0
	for b.Loop() {
		n++
		p := fleet.ObjectPatch{Type: fleet.MergePatch, Body: fmt.Appendf(nil, `{"spec": {"values": {"replicaCount": %d}}}`, n)}
		ours = append(ours, millis(b, func() error {
			_, err := r.PatchObject(context.Background(), ada, cluster(n), objectNamed(object), p)
			return err
		}))
		changes, err := r.History(b.Context(), fleet.ChangeQuery{Limit: 1})
		if err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, millis(b, func() error { return bare.write(&changes[0]) }))
	}
	b.ReportMetric(0, "ns/op") // an op is one patch and one bare transaction, which is not a useful number
	b.ReportMetric(median(theirs), "bare-ms")
	b.ReportMetric(median(ours), "patch-ms")
	b.ReportMetric(median(ours)/median(theirs), "ratio")
}

// BenchmarkGroupDelta writes a delta for 300 of a thousand clusters.
func BenchmarkGroupDelta(b *testing.B) {
	groupDelta(b, benchFleet(b), "App", "app-11", 300)
}

// groupDelta writes a delta that edits an object of the clusters in dev. clusters is their number.
func groupDelta(b *testing.B, r *rig, kind, name string, clusters int) {
	b.Helper()
	var took []float64
	n := 0
	for b.Loop() {
		n++
		d := r.document(fmt.Sprintf(`{name: dev, selector: {matchLabels: {environment: dev}}, edits: [{kind: %s, name: %s, patch: {spec: {values: {replicaCount: %d}}}}]}`, kind, name, n+100))
		took = append(took, millis(b, func() error {
			result, err := r.PutDelta(context.Background(), ada, d)
			if err == nil && len(result.Changes) != clusters {
				b.Errorf("%d inputs changed, want %d", len(result.Changes), clusters)
			}
			return err
		}))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took), "ms")
}

// bare writes hand-written transactions to a database of its own.
type bare struct {
	db                                     *sql.DB
	head, change, cluster, became, inForce *sql.Stmt
}

func newBare(b *testing.B) *bare {
	b.Helper()
	path := filepath.Join(b.TempDir(), "bare.db")
	openStore(b, "sqlite:"+path) // creates the tables
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	b.Cleanup(func() { _ = db.Close() })
	prepare := func(text string) *sql.Stmt {
		stmt, err := db.Prepare(text)
		if err != nil {
			b.Fatal(err)
		}
		return stmt
	}
	return &bare{
		db:      db,
		head:    prepare(`UPDATE head SET generation = $1`),
		change:  prepare(`INSERT INTO changes (generation, made_at, kind, actor, reason, for_assigned) VALUES ($1, $2, $3, $4, $5, FALSE)`),
		cluster: prepare(`INSERT INTO change_clusters VALUES ($1, $2)`),
		became:  prepare(`INSERT INTO delta_changes VALUES ($1, $2, $3, $4)`),
		inForce: prepare(`INSERT INTO deltas (delta, generation) VALUES ($1, $2)
			ON CONFLICT (delta) DO UPDATE SET generation = excluded.generation`),
	}
}

func (w *bare) write(c *fleet.Change) error {
	d := c.Deltas[0]
	var was any
	if d.Before != nil {
		text, err := json.Marshal(d.Before)
		if err != nil {
			return err
		}
		was = string(text)
	}
	became, err := json.Marshal(d.After)
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
		{w.became, []any{c.Generation, d.Delta, was, string(became)}},
		{w.inForce, []any{d.Delta, c.Generation}},
	} {
		if _, err := tx.StmtContext(ctx, step.stmt).ExecContext(ctx, step.args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func millis(b *testing.B, do func() error) float64 {
	b.Helper()
	begun := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return float64(time.Since(begun).Nanoseconds()) / 1e6
}

// median returns the median, which ignores runs in which the machine did something else.
func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}
