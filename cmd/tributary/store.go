package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/sources"
)

// defaultStore is in the working directory of the server.
const defaultStore = "sqlite:tributary.db"

// openStore opens the change log of a server, and returns what closes it. If it is required, there must
// be one already. A file in the directory that is served is rejected, because each write would change the
// source and so cause another write. So are a file that another process serves, and the change log of
// another fleet.
func openStore(ctx context.Context, source string, o serveOptions) (store *sqlstore.Store, release func(), err error) {
	if o.requireStore {
		if err := sqlstore.Require(ctx, o.store); err != nil {
			return nil, nil, fmt.Errorf("--require-store: %w; bring the change log back, or leave out the flag to begin a new one", err)
		}
	}
	if o.readOnly {
		store, err = sqlstore.OpenReadOnly(ctx, o.store)
		return store, func() { _ = store.Close() }, err
	}
	if path, ok := strings.CutPrefix(o.store, "sqlite:"); ok && isIn(source, path) {
		return nil, nil, fmt.Errorf("--store %s: is in %s, which is the source; use a path outside of it", o.store, source)
	}
	if store, err = sqlstore.Open(ctx, o.store); err != nil {
		return nil, nil, err
	}
	unlock, err := sqlstore.ClaimFile(ctx, o.store)
	if err == nil {
		release = func() { _, _ = store.Close(), unlock() }
		if err = claimSource(ctx, store, source, o.movedFrom); err == nil {
			return store, release, nil
		}
		release()
	}
	if path, ok := strings.CutPrefix(o.store, "sqlite:"); ok {
		err = fmt.Errorf("--store sqlite:%s: %w", path, err) // a URL of PostgreSQL may have a password
	}
	return nil, nil, err
}

// claimSource makes a store that of the fleet of a SOURCE.
func claimSource(ctx context.Context, store *sqlstore.Store, source, movedFrom string) error {
	name, err := sources.Fleet(source)
	if err == nil && movedFrom != "" {
		movedFrom, err = sources.Fleet(movedFrom)
	}
	if err != nil {
		return err
	}
	return sqlstore.ClaimSource(ctx, store, name, movedFrom)
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
