package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/server/api"
)

// storeHarms are what can happen to SQLite's files while a server runs, by what the server
// says about it.
var storeHarms = map[string]func(path string) error{
	"-wal was removed or replaced": func(path string) error { return os.Remove(path + "-wal") },
	"-wal was removed or replaced ": func(path string) error {
		return errors.Join(os.Remove(path+"-wal"), os.WriteFile(path+"-wal", nil, 0o600))
	},
	"-wal was truncated": func(path string) error { return os.Truncate(path+"-wal", 0) },
	"-wal was truncated ": func(path string) error {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			return err
		}
		return os.Truncate(path+"-wal", info.Size()/2)
	},
	"-shm was removed or replaced": func(path string) error { return os.Remove(path + "-shm") },
	".db was removed or replaced":  os.Remove,
}

// TestWritesWithoutTheStoresFilesAreNotAcknowledged harms a file of the store under a running
// server, and kills the server. What it acknowledged after the harm is there when it starts
// again.
func TestWritesWithoutTheStoresFilesAreNotAcknowledged(t *testing.T) {
	t.Parallel()
	for why, harm := range storeHarms {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "tributary.db")
			p := newProcess(t, writeFleet(t, "c-0"), "--store", "sqlite:"+path)
			write := func(value string) (int, string) {
				status, _, text := p.try(http.MethodPatch, "/api/v1/clusters/c-0/objects/App/web", fmt.Sprintf(`{"spec": {"own": %q}}`, value),
					"Content-Type", "application/merge-patch+json", "Tributary-Reason", value)
				return status, string(text)
			}
			for n := range 3 {
				if status, text := write(fmt.Sprint("before-", n)); status != http.StatusOK {
					t.Fatalf("%d %s", status, text)
				}
			}
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			var acknowledged []string
			for n := range 3 {
				value := fmt.Sprint("after-", n)
				status, text := write(value)
				if status == http.StatusOK {
					acknowledged = append(acknowledged, value)
				} else if !strings.Contains(text, strings.TrimSpace(why)) || !strings.Contains(text, path) {
					t.Errorf("%d %s, want it to say that %s", status, text, why)
				}
			}
			p.kill()
			p.start()
			history := p.history(0)
			for _, value := range acknowledged {
				if !slices.ContainsFunc(history, func(c api.Change) bool { return c.Reason == value }) {
					t.Errorf("%s was acknowledged, and is not in the history", value)
				}
			}
		})
	}
}

// TestServerThatLosesItsWALSavesItWhenStopped stops the server in peace: SQLite still has
// the file open, and writes what it holds into the database.
func TestServerThatLosesItsWALSavesItWhenStopped(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tributary.db")
	p := newProcess(t, writeFleet(t, "c-0"), "--store", "sqlite:"+path)
	status, _, text := p.try(http.MethodPatch, "/api/v1/clusters/c-0/objects/App/web", `{"spec": {"own": "kept"}}`,
		"Content-Type", "application/merge-patch+json", "Tributary-Reason", "kept")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	p.interrupt()
	p.start()
	if !slices.ContainsFunc(p.history(0), func(c api.Change) bool { return c.Reason == "kept" }) {
		t.Error("the write is not in the history")
	}
}
