package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
)

// defaultStore is in the working directory of the server.
const defaultStore = "sqlite:tributary.db"

// openStore opens a change log. It rejects a file in the directory that is served,
// because each write would change the source and so cause another write.
func openStore(ctx context.Context, store, source string, readOnly bool) (*sqlstore.Store, error) {
	if readOnly {
		return sqlstore.OpenReadOnly(ctx, store)
	}
	if path, ok := strings.CutPrefix(store, "sqlite:"); ok && isIn(source, path) {
		return nil, fmt.Errorf("--store %s: is in %s, which is the source; use a path outside of it", store, source)
	}
	return sqlstore.Open(ctx, store)
}

// isIn reports whether a file is in an existing directory.
func isIn(directory, file string) bool {
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
