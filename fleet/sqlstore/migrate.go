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

// migrate brings the schema up to date. Nobody waits for a lock where there is
// nothing to do, which is at nearly every start; and of several processes that
// start at once one migrates, and the others find it done.
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
	return goose.NewProvider(d.name, db, files, goose.WithGoMigrations(fillReleases()), goose.WithLogger(goose.NopLogger()))
}

// upToDate refuses a schema that is not, which who only reads cannot mend.
func upToDate(ctx context.Context, db *sql.DB, d *dialect) error {
	provider, err := newProvider(db, d)
	if err != nil {
		return err
	}
	behind, err := isBehind(ctx, db, d, provider)
	if err == nil && behind {
		err = errors.New("schema: it is yet to be made or brought up to date; start a server that writes first")
	}
	return err
}

// isBehind tells whether there is a migration to do. A schema newer than this
// binary is an error, because what it means is not known here.
func isBehind(ctx context.Context, db *sql.DB, d *dialect, provider *goose.Provider) (bool, error) {
	current, err := schemaVersion(ctx, db, d)
	if err != nil {
		return false, fmt.Errorf("schema: %w", err)
	}
	sources := provider.ListSources()
	known := sources[len(sources)-1].Version
	if current > known {
		return false, fmt.Errorf("schema: the database has version %d and this binary knows %d: "+
			"a newer Tributary has used it; run that one", current, known)
	}
	return current < known, nil
}

// schemaVersion reads the version without a write, which goose does not.
func schemaVersion(ctx context.Context, db *sql.DB, d *dialect) (version int64, err error) {
	var tables int
	if err := db.QueryRowContext(ctx, d.tables, goose.DefaultTablename).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT COALESCE(max(version_id), 0) FROM `+goose.DefaultTablename).Scan(&version)
	return version, err
}
