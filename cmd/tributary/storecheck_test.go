package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest"
	"github.com/tributary-gitops/tributary/fleet/storetest/invariants"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// checkStore checks the store that a test has left: the fold of its log equals its state, and the
// invariants hold after each change. No server may run on it.
func checkStore(t testing.TB, url string) {
	t.Helper()
	store, err := sqlstore.Open(context.Background(), url)
	if err != nil {
		t.Errorf("store %s: %v", url, err)
		return
	}
	defer func() { _ = store.Close() }()
	storetest.FoldEqualsState(t, store)
	invariants.Hold(t, store, render.Renderer{}, archive.Archive{})
}

// checkStoresIn checks every SQLite file below a directory.
func checkStoresIn(t testing.TB, dir string) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".db") {
			found++
			checkStore(t, "sqlite:"+path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d stores checked", found)
}

// storesToCheck are the stores that are checked when a test ends, so that each is checked once.
var storesToCheck sync.Map

// checkStoreAtEnd checks the store of a server when the test ends. It is called before the first
// server on the store is started, so that all have ended by then.
func checkStoreAtEnd(t testing.TB, args []string) {
	for i, arg := range args {
		if _, is := t.(*testing.T); !is || arg != "--store" {
			continue
		}
		if _, again := storesToCheck.LoadOrStore(args[i+1], true); !again {
			t.Cleanup(func() { checkStore(t, args[i+1]) })
		}
	}
}
