// Package changelog opens the change log that a command works on.
package changelog

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/sources"
)

// Options say which change log a server has.
type Options struct {
	// URL is sqlite:PATH, or the postgres:// URL of a database.
	URL string
	// Required refuses one that is not there, or empty.
	Required bool
	ReadOnly bool
	// MovedFrom is the SOURCE that the fleet came from, if it has moved; else empty.
	MovedFrom string
}

// Open opens the change log of a server, and returns what closes it. A file in the directory that is
// served is rejected, because each write would change the source and so cause another write. So are a
// file that another process serves, and the change log of another fleet.
func Open(ctx context.Context, source string, o Options) (store *sqlstore.Store, release func(), err error) {
	if o.Required {
		if err := sqlstore.Require(ctx, o.URL); err != nil {
			return nil, nil, fmt.Errorf("--require-store: %w; bring the change log back, or leave out the flag to begin a new one", err)
		}
	}
	if o.ReadOnly {
		store, err = sqlstore.OpenReadOnly(ctx, o.URL)
		return store, func() { _ = store.Close() }, err
	}
	if path, ok := strings.CutPrefix(o.URL, "sqlite:"); ok && isIn(source, path) {
		return nil, nil, fmt.Errorf("--store %s: is in %s, which is the source; use a path outside of it", o.URL, source)
	}
	if store, err = sqlstore.Open(ctx, o.URL); err != nil {
		return nil, nil, err
	}
	unlock, err := sqlstore.ClaimFile(ctx, o.URL)
	if err == nil {
		release = func() { _, _ = store.Close(), unlock() }
		if err = claimSource(ctx, store, source, o.MovedFrom); err == nil {
			return store, release, nil
		}
		release()
	}
	if path, ok := strings.CutPrefix(o.URL, "sqlite:"); ok {
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
