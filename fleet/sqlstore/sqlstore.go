package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Store is a change log in a database. Its methods may be called from many goroutines.
type Store struct {
	// Now is the clock by which snapshots age; it is time.Now. It may be set before the store is
	// used.
	Now func() time.Time

	dialect    *dialect
	writer     *sql.DB
	reader     *sql.DB
	statements statements // of writer
	names      releaseNames
}

var _ fleet.Store = (*Store)(nil)

// Open opens the change log at a URL, sqlite:PATH or postgres://…, and brings its schema up to
// date; in an empty database it creates one. The error is an ErrInvalid where the URL is not one
// of these, and an ErrStore where the database cannot be used. No error shows a password.
func Open(ctx context.Context, url string) (*Store, error) { return open(ctx, url, migrate) }

// OpenReadOnly opens a change log for a process that only follows it. The credentials in the URL
// need no more than to read its tables. Its schema must be up to date already.
func OpenReadOnly(ctx context.Context, url string) (*Store, error) {
	return open(ctx, url, checkSchema)
}

// Require returns an error, which is an ErrStore, unless there is a change log at a URL that has
// at least one change. It creates nothing.
func Require(ctx context.Context, url string) error {
	_, generation, err := inspect(ctx, url)
	if err == nil && generation == 0 {
		err = fmt.Errorf("change log: %w: it is empty", fleet.ErrStore)
	}
	return err
}

// RequireDatabase returns an error, which is an ErrStore, unless there is a change log at a URL, if
// only an empty one. It creates nothing.
func RequireDatabase(ctx context.Context, url string) error {
	is, _, err := inspect(ctx, url)
	if err == nil && !is {
		err = fmt.Errorf("change log: %w: there is none in the database", fleet.ErrStore)
	}
	return err
}

// inspect reports whether a database has a change log, and the generation of the last change. It is an
// ErrStore where there is no database.
func inspect(ctx context.Context, url string) (is bool, generation int64, err error) {
	opener, err := dialectOf(url)
	if err != nil {
		return false, 0, err
	}
	s := &Store{Now: time.Now}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		if _, err := os.Stat(path); err != nil {
			return false, 0, fmt.Errorf("change log: %w: %w", fleet.ErrStore, err)
		}
	}
	if s.dialect, s.writer, s.reader, err = opener(url); err != nil {
		return false, 0, err
	}
	defer s.Close() //nolint:errcheck // nothing was written
	version, err := schemaVersion(ctx, s.reader, s.dialect)
	if err != nil || version == 0 {
		return false, 0, s.wrap(ctx, "change log", err)
	}
	generation, err = s.Generation(ctx)
	return true, generation, err
}

func open(ctx context.Context, url string, schema func(context.Context, *sql.DB, *dialect) error) (*Store, error) {
	opener, err := dialectOf(url)
	if err != nil {
		return nil, err
	}
	s := &Store{Now: time.Now}
	if s.dialect, s.writer, s.reader, err = opener(url); err != nil {
		return nil, err
	}
	if err = s.dialect.check(ctx, s.writer); err == nil {
		err = schema(ctx, s.writer, s.dialect)
	}
	if err != nil {
		return nil, errors.Join(s.wrap(ctx, "change log", err), s.Close())
	}
	return s, s.wrap(ctx, "change log", s.dialect.present(ctx, s.writer, true))
}

// Generation returns that of the last change. It is an ErrStore where the files of the database were
// lost.
func (s *Store) Generation(ctx context.Context) (generation int64, err error) {
	if err := s.dialect.present(ctx, s.writer, true); err != nil {
		return 0, s.wrap(ctx, "change log", err)
	}
	err = s.reader.QueryRowContext(ctx, `SELECT generation FROM head`).Scan(&generation)
	return generation, s.wrap(ctx, "change log", err)
}

// Close releases the database. What was acknowledged is durable without it.
func (s *Store) Close() error {
	err := s.statements.Close()
	if s.reader != s.writer {
		err = errors.Join(err, s.reader.Close())
	}
	return errors.Join(err, s.writer.Close())
}
