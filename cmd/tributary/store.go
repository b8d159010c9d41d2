package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
)

// defaultStore is beside where the server is started.
const defaultStore = "sqlite:tributary.db"

// openStore opens a change log. It must not lie in a directory that is served: each
// change would change what is served, and go on to do so.
func openStore(ctx context.Context, store, source string, readOnly bool) (*sqlstore.Store, error) {
	if readOnly {
		return sqlstore.OpenReadOnly(ctx, store)
	}
	if path, ok := strings.CutPrefix(store, "sqlite:"); ok && liesIn(source, path) {
		return nil, fmt.Errorf("--store %s: lies in %s, which is served; name a path elsewhere", store, source)
	}
	return sqlstore.Open(ctx, store)
}

// liesIn tells whether a file is in a directory that there is.
func liesIn(directory, file string) bool {
	directory, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return false
	}
	if info, err := os.Stat(directory); err != nil || !info.IsDir() {
		return false
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return false
	}
	if directory, err = filepath.Abs(directory); err != nil {
		return false
	}
	if parent, err = filepath.Abs(parent); err != nil {
		return false
	}
	below, err := filepath.Rel(directory, parent)
	return err == nil && filepath.IsLocal(below)
}
