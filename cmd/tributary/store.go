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

// openStore opens a change log. If it is required, there must be one already. A file in the
// directory that is served is rejected, because each write would change the source and so
// cause another write.
func openStore(ctx context.Context, store, source string, readOnly, required bool) (*sqlstore.Store, error) {
	if required {
		if err := sqlstore.Require(ctx, store); err != nil {
			return nil, fmt.Errorf("--require-store: %w; bring the change log back, or leave out the flag to begin a new one", err)
		}
	}
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
