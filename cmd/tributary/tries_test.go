package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/tries"
)

// TestServerThatIsKilledDuringATryIsKnown kills a server while it evaluates a revision, as the kernel
// does when memory runs out. The try counts, and after two more like it the revision is refused.
func TestServerThatIsKilledDuringATryIsKnown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, "fleet", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const app = "apiVersion: example.com/v1\nkind: App\nmetadata: {name: a%d}\nspec: {tag: v1}\n"
	write("fleet.yaml", "apiVersion: tributary/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  inputs:\n  - {name: apps, kind: App}\n  placement:\n  - {selector: {}, overlay: base}\n")
	write("clusters/one.yaml", "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n")
	write("base/kustomization.yaml", "resources: [app.yaml]\n")
	write("base/app.yaml", fmt.Sprintf(app, 0))
	url := "sqlite:" + filepath.Join(dir, "tributary.db")
	p := newProcess(t, filepath.Join(dir, "fleet"), "--store", url)
	store, err := sqlstore.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()

	var many strings.Builder // takes seconds
	for i := range 2_000 {
		fmt.Fprintf(&many, "---\n"+app, i)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "tributary.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	begun := func() (revision string, n int) {
		if err := db.QueryRowContext(t.Context(), `SELECT revision, tries FROM tries`).Scan(&revision, &n); err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
		return revision, n
	}
	await := func(what string, happened func(n int) bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if _, n := begun(); happened(n) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	await("the first try does not end", func(n int) bool { return n == 0 })
	write("base/app.yaml", many.String())
	await("no try has begun", func(n int) bool { return n > 0 })
	p.kill()
	revision, n := begun()
	if n != 1 {
		t.Fatalf("%d tries are counted after the server was killed, want 1", n)
	}
	for range tries.Most - 1 {
		if _, err := store.Tries().Begin(t.Context(), revision, tries.Most); err != nil {
			t.Fatal(err)
		}
	}
	p.start()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		_, _, text := p.try("GET", "/api/v1/releases?state=failed", "")
		if strings.Contains(string(text), "is not tried again: the server ended 3 times while it evaluated this revision") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("failed releases = %s", text)
		}
	}
	if status, _, text := p.try("GET", "/api/v1/flux/clusters/one/apps", ""); status != 200 || !strings.Contains(string(text), `"a0"`) {
		t.Errorf("poll = %d %.200s, want what was served before", status, text)
	}
}
