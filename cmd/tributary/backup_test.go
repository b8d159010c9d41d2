package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// TestRestoredBackupServesTheSame backs up a running server, as
// docs/how-to/back-up-and-restore.md describes, and continues to write. A server on the
// restored log serves the same bytes as at the time of the backup, without its source, and
// takes writes. The first server keeps serving from its own log.
func TestRestoredBackupServesTheSame(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "tributary.db")
		restoredServesTheSame(t, "sqlite:"+file, func() string {
			copied := filepath.Join(t.TempDir(), "backup.db")
			if out, err := exec.Command("sqlite3", file, "VACUUM INTO '"+copied+"'").CombinedOutput(); err != nil {
				t.Fatalf("sqlite3: %v\n%s", err, out)
			}
			return "sqlite:" + copied
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Start(t)
		url := server.Database(t)
		restoredServesTheSame(t, url, func() string {
			server.Dump(t, url, "backup.dump")
			copied := server.Database(t)
			server.Restore(t, "backup.dump", copied)
			return copied
		})
	})
}

func restoredServesTheSame(t *testing.T, store string, backup func() string) {
	repo := newSmallExampleRepo(t)
	p := newProcess(t, repo.url, "--store", store)
	writeSomeDeltas(p)
	before := p.pollAll(repo)
	restored := backup()
	writeMore(p)
	later := p.pollAll(repo)

	repo.move(repo.bare, repo.bare+".away")
	other := newProcess(t, repo.url, "--store", restored)
	wantPolls(t, "after the restore", other.pollAll(repo), before)
	writeMore(other)
	wantPolls(t, "on the first server", p.pollAll(repo), later)
}

// TestOlderBackupIsServedFromTheRestart replaces the log of a running server by an older
// backup. The server says so, keeps its generation and rejects writes until it restarts,
// also when another server has brought the log further than it was.
func TestOlderBackupIsServedFromTheRestart(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	store, repo := server.Database(t), newSmallExampleRepo(t)
	p := newProcess(t, repo.url, "--store", store)
	before := p.pollAll(repo)
	server.Dump(t, store, "backup.dump")
	writeMore(p)
	later := p.pollAll(repo)

	server.Restore(t, "backup.dump", store)
	if status, text := p.putMore(); status != http.StatusServiceUnavailable {
		t.Errorf("PUT = %d %s, want 503", status, text)
	}
	wantPolls(t, "while it runs", p.pollAll(repo), later)
	wantLost := func() {
		t.Helper()
		if _, _, text := p.try(http.MethodGet, "/readyz?verbose", ""); !regexp.MustCompile(`generation \d+ is served, and the log ended at \d+`).Match(text) {
			t.Errorf("/readyz?verbose = %s, want it to say that the log was replaced", text)
		}
		if _, _, text := p.try(http.MethodGet, "/metrics", ""); !strings.Contains(string(text), "\ntributary_change_log_lost 1\n") {
			t.Errorf("/metrics lacks tributary_change_log_lost 1")
		}
	}
	wantLost()
	other := newProcess(t, repo.url, "--store", store)
	wantPolls(t, "on another server", other.pollAll(repo), before)
	writeMore(other)
	writeSomeDeltas(other)
	beyond := other.pollAll(repo)
	if status, text := p.putMore(); status != http.StatusServiceUnavailable {
		t.Errorf("PUT = %d %s, want 503", status, text)
	}
	wantLost()
	wantPolls(t, "while it runs", p.pollAll(repo), later)
	p.kill()
	if log := p.log.String(); !strings.Contains(log, "change log no longer has what is served") {
		t.Errorf("the log does not say that the change log was replaced:\n%s", log)
	}
	p.start()
	wantPolls(t, "from the restart", p.pollAll(repo), beyond)
}

// writeMore changes the inputs of every cluster.
func writeMore(p *process) {
	p.t.Helper()
	if status, text := p.putMore(); status != http.StatusOK {
		p.t.Fatalf("PUT = %d %s", status, text)
	}
}

func (p *process) putMore() (int, []byte) {
	const body = `{"selector": {}, "edits": [{"kind": "PlatformComponent", "name": "keda", "patch": {"spec": {"values": {"more": true}}}}]}`
	status, _, text := p.try(http.MethodPut, "/api/v1/deltas/more", body, "Content-Type", "application/json")
	return status, text
}
