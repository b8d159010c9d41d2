package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tributary-gitops/tributary/fleet"
)

// sqliteSettings are those of each connection. With synchronous=FULL a commit in WAL mode is on
// the disk when it returns. Temporary files in memory need no space in yet another place.
var sqliteSettings = "?_busy_timeout=10000&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)" +
	fmt.Sprintf("&_pragma=temp_store(MEMORY)&_pragma=journal_size_limit(%d)", walSizeLimit)

// openSQLite opens a file. All that follows sqlite: is its path. There is one connection that
// writes, because SQLite has one writer at a time, and waiting for the connection is fairer than
// SQLite's sleeping and trying again.
func openSQLite(from string) (*dialect, *sql.DB, *sql.DB, error) {
	path := strings.TrimPrefix(from, "sqlite:")
	if err := checkPath(path); err != nil {
		return nil, nil, nil, err
	}
	file := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + sqliteSettings
	writer, err := sql.Open("sqlite", file+"&_txlock=immediate")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("store sqlite:%s: %w: %w", path, fleet.ErrStore, err)
	}
	reader, err := sql.Open("sqlite", file+"&_pragma=query_only(1)")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("store sqlite:%s: %w: %w", path, fleet.ErrStore, err)
	}
	writer.SetMaxOpenConns(1)
	reader.SetMaxOpenConns(8)
	reader.SetMaxIdleConns(8)
	return &dialect{
		name:     goose.DialectSQLite3,
		prepares: true,
		now:      `CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER)`,
		tables:   `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1`,
		pairs:    `json_each($1)`,
		check:    func(context.Context, *sql.DB) error { return nil },
		present:  (&sqliteFiles{path: path, was: map[string]os.FileInfo{}}).present,
		lock:     func(ctx context.Context, db *sql.DB) (func() error, error) { return lockSQLite(ctx, db, path) },
		conflict: func(error) bool { return false },
		full:     sqliteFull,
	}, writer, reader, nil
}

// checkPath returns a better error than SQLite's "unable to open database file".
func checkPath(path string) error {
	switch {
	case path == "", strings.HasPrefix(path, ":memory:"):
		return fmt.Errorf("store sqlite:%s: %w: must be sqlite:PATH with the path of a file", path, fleet.ErrInvalid)
	case strings.HasPrefix(path, "//") && !strings.HasPrefix(path, "///"):
		return fmt.Errorf("store sqlite:%s: %w: what follows sqlite: is a path; leave out the //", path, fleet.ErrInvalid)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("store sqlite:%s: %w: %w", path, fleet.ErrStore, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("store sqlite:%s: %w: not a file", path, fleet.ErrStore)
	}
	return nil
}

// lockSQLite locks a file beside the database, because neither the creation of a database nor
// its change to WAL mode waits for SQLite's own locks. The file stays: removing it could remove
// one that another process holds.
func lockSQLite(ctx context.Context, db *sql.DB, path string) (func() error, error) {
	lock := flock.New(path + ".lock")
	if _, err := lock.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return nil, err
	}
	if err := prepareSQLite(ctx, db, path); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock.Unlock, nil
}

// prepareSQLite makes a new database readable by its owner alone, because it may hold confidential
// data, and changes it to WAL mode, which the file keeps. The permissions are set by the file's
// name, because opening and closing the file here would drop the locks that this process has on
// it.
func prepareSQLite(ctx context.Context, db *sql.DB, path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
	}
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the journal mode is %s: this file system does not support WAL; use a local one", mode)
	}
	return nil
}

// sqliteFull reports whether there is no space left, for the database or for the WAL's index.
func sqliteFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}
