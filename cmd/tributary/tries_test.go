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

// triedServer is a server of a directory that can be seen to try a revision.
type triedServer struct {
	*process
	store *sqlstore.Store
	dir   string
	db    *sql.DB
}

func startTried(t *testing.T) *triedServer {
	t.Helper()
	s := &triedServer{dir: t.TempDir()}
	s.write("fleet.yaml", "apiVersion: tributary/v1alpha1\nkind: Fleet\nmetadata: {name: acme}\nspec:\n  inputs:\n  - {name: apps, kind: App}\n  placement:\n  - {selector: {}, overlay: base}\n")
	s.write("clusters/one.yaml", "apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: one}\n")
	s.write("base/kustomization.yaml", "resources: [app.yaml]\n")
	s.writeApps(1)
	file := filepath.Join(s.dir, "tributary.db")
	s.process = newProcess(t, filepath.Join(s.dir, "fleet"), "--store", "sqlite:"+file)
	var err error
	if s.store, err = sqlstore.Open(t.Context(), "sqlite:"+file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	if s.db, err = sql.Open("sqlite", "file:"+file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	s.awaitTries("the first try does not end", func(n int) bool { return n == 0 })
	return s
}

func (s *triedServer) write(name, text string) {
	path := filepath.Join(s.dir, "fleet", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		panic(err)
	}
}

// writeApps changes the fleet repo. A few thousand apps take seconds.
func (s *triedServer) writeApps(n int) {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "---\napiVersion: example.com/v1\nkind: App\nmetadata: {name: a%d}\nspec: {tag: v1}\n", i)
	}
	s.write("base/app.yaml", all.String())
}

// tries returns the revision that is being tried, and how many tries of it have not ended.
func (s *triedServer) tries() (revision string, n int) {
	s.t.Helper()
	if err := s.db.QueryRowContext(s.t.Context(), `SELECT revision, tries FROM tries`).Scan(&revision, &n); err != nil && !errors.Is(err, sql.ErrNoRows) {
		s.t.Fatal(err)
	}
	return revision, n
}

func (s *triedServer) awaitTries(what string, happened func(n int) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, n := s.tries(); happened(n) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal(what)
		}
	}
}

// TestServerThatIsKilledDuringATryIsKnown kills a server while it evaluates a revision, as the kernel
// does when memory runs out. The try counts, and after two more like it the revision is refused.
func TestServerThatIsKilledDuringATryIsKnown(t *testing.T) {
	t.Parallel()
	s := startTried(t)
	s.writeApps(2_000)
	s.awaitTries("no try has begun", func(n int) bool { return n > 0 })
	s.kill()
	revision, n := s.tries()
	if n != 1 {
		t.Fatalf("%d tries are counted after the server was killed, want 1", n)
	}
	for range tries.Most - 1 {
		if _, err := s.store.Tries().Begin(t.Context(), revision, tries.Most); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		_, _, text := s.try("GET", "/api/v1/releases?state=failed", "")
		if strings.Contains(string(text), "is not tried again: the server ended 3 times while it evaluated this revision") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("failed releases = %s", text)
		}
	}
	if status, _, text := s.try("GET", "/api/v1/flux/clusters/one/apps", ""); status != 200 || !strings.Contains(string(text), `"a0"`) {
		t.Errorf("poll = %d %.200s, want what was served before", status, text)
	}
}

// TestServerThatIsStoppedDuringATryExitsAndForgetsIt stops a server while kustomize builds, which cannot
// be stopped, as a rolling update does. It exits in good order, and the try does not count: however
// often a good revision is interrupted so, it is tried again.
func TestServerThatIsStoppedDuringATryExitsAndForgetsIt(t *testing.T) {
	t.Parallel()
	s := startTried(t)
	s.writeApps(3_900)
	for range tries.Most + 1 {
		s.awaitTries("no try has begun", func(n int) bool { return n > 0 })
		s.interrupt() // wants status 0
		if !strings.Contains(s.log.String(), "stopped") {
			t.Errorf("the log does not say that the server has stopped:\n%s", &s.log)
		}
		if revision, n := s.tries(); n != 0 {
			t.Fatalf("%d tries of %s are counted after the server was stopped, want none", n, revision)
		}
		s.start()
	}
}
