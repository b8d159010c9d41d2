package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is where goose keeps the version of the schema. Before the first release of
// Tributary it was goose's default table, and the schemas of that time are not migrated.
const versionTable = "schema_version"

// migrate brings the schema up to date. It takes no lock where there is nothing to do, which is
// at nearly every start. Of several processes that start at once one migrates, and the others
// wait and find it done.
func migrate(ctx context.Context, db *sql.DB, d *dialect) (err error) {
	provider, err := newProvider(db, d)
	if err != nil {
		return err
	}
	if behind, err := isBehind(ctx, db, d, provider); err != nil || !behind {
		return err
	}
	unlock, err := d.lock(ctx, db)
	if err != nil {
		return fmt.Errorf("schema: lock: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if behind, err := isBehind(ctx, db, d, provider); err != nil || !behind {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	return nil
}

func newProvider(db *sql.DB, d *dialect) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(d.name, db, files, goose.WithTableName(versionTable), goose.WithLogger(goose.NopLogger()))
}

// checkSchema refuses a schema that is not up to date, for a process that must not write.
func checkSchema(ctx context.Context, db *sql.DB, d *dialect) error {
	provider, err := newProvider(db, d)
	if err != nil {
		return err
	}
	behind, err := isBehind(ctx, db, d, provider)
	if err == nil && behind {
		err = errors.New("schema: it does not exist or is not up to date; start a server that may write first")
	}
	return err
}

// isBehind reports whether there is a migration to do. It is an error where the database was
// written by a newer Tributary, because this one does not know what its tables mean, or by one
// from before the first release.
func isBehind(ctx context.Context, db *sql.DB, d *dialect, provider *goose.Provider) (bool, error) {
	current, err := schemaVersion(ctx, db, d)
	if err != nil {
		return false, fmt.Errorf("schema: %w", err)
	}
	sources := provider.ListSources()
	known := sources[len(sources)-1].Version
	if current > known {
		return false, fmt.Errorf("schema: the database has version %d and this binary knows versions up to %d: "+
			"a newer Tributary has used it; run that one", current, known)
	}
	return current < known, nil
}

// schemaVersion reads the version, 0 in an empty database. Unlike goose it writes nothing.
func schemaVersion(ctx context.Context, db *sql.DB, d *dialect) (version int64, err error) {
	hasTable := func(name string) (has bool, err error) {
		var tables int
		err = db.QueryRowContext(ctx, d.tables, name).Scan(&tables)
		return tables > 0, err
	}
	switch is, err := hasTable(versionTable); {
	case err != nil:
		return 0, err
	case !is:
		if is, err := hasTable(goose.DefaultTablename); err != nil || !is {
			return 0, err
		}
		return 0, errors.New("a Tributary from before the first release has written the database, which cannot be taken over; " +
			"use an empty database, and write deltas and declarations anew")
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(max(version_id), 0) FROM `+versionTable).Scan(&version)
	return version, err
}
