package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// onBothInside is onBoth for the tests that need what the package does not export.
func onBothInside(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newSQLiteFile(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.Shared(t).Database(t))
	})
}

// newSQLiteFile returns the URL of a database that does not exist yet.
func newSQLiteFile(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "tributary.db")
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	onBothInside(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.writer.Exec(`INSERT INTO schema_version (version_id, is_applied) VALUES (9999, TRUE)`); err != nil {
			t.Fatal(err)
		}
		s.Close()
		for name, open := range map[string]func(context.Context, string) (*Store, error){"Open": Open, "OpenReadOnly": OpenReadOnly} {
			_, err = open(t.Context(), url)
			if !errors.Is(err, fleet.ErrStore) || !strings.Contains(err.Error(), "version 9999 and this binary knows versions up to 1: a newer Tributary") {
				t.Errorf("%s: error %v, want %v that says which Tributary wrote the database", name, err, fleet.ErrStore)
			}
		}
	})
}

// TestSchemaFromBeforeTheFirstReleaseIsRefused: such a database has its version in goose's own
// table.
func TestSchemaFromBeforeTheFirstReleaseIsRefused(t *testing.T) {
	t.Parallel()
	onBothInside(t, func(t *testing.T, url string) {
		opener, err := dialectOf(url)
		if err != nil {
			t.Fatal(err)
		}
		_, writer, reader, err := opener(url)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		defer writer.Close()
		for _, text := range []string{
			`CREATE TABLE goose_db_version (version_id BIGINT NOT NULL, is_applied BOOLEAN NOT NULL)`,
			`INSERT INTO goose_db_version VALUES (5, TRUE)`,
			`CREATE TABLE head (generation BIGINT NOT NULL)`,
			`INSERT INTO head VALUES (7)`,
		} {
			if _, err := writer.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		for name, open := range map[string]func(context.Context, string) (*Store, error){"Open": Open, "OpenReadOnly": OpenReadOnly} {
			_, err := open(t.Context(), url)
			if !errors.Is(err, fleet.ErrStore) || !strings.Contains(err.Error(), "cannot be taken over; use an empty database") {
				t.Errorf("%s: error %v, want %v that says what to do", name, err, fleet.ErrStore)
			}
		}
		var generation int64
		if err := writer.QueryRow(`SELECT generation FROM head`).Scan(&generation); err != nil || generation != 7 {
			t.Errorf("the database is at generation %d, %v, want it as it was, at 7", generation, err)
		}
	})
}

func TestSchemaThatIsUpToDateTakesNoLock(t *testing.T) {
	t.Parallel()
	onBothInside(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		locks := 0
		d := *s.dialect
		d.lock = func(context.Context, *sql.DB) (func() error, error) {
			locks++
			return func() error { return nil }, nil
		}
		if err := migrate(t.Context(), s.writer, &d); err != nil || locks > 0 {
			t.Errorf("migrate took %d locks, want none (%v)", locks, err)
		}
	})
}

func TestMigrationWaitsForItsLock(t *testing.T) {
	t.Parallel()
	onBothInside(t, func(t *testing.T, url string) {
		opener, err := dialectOf(url)
		if err != nil {
			t.Fatal(err)
		}
		d, writer, reader, err := opener(url)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		defer writer.Close()
		unlock, err := d.lock(t.Context(), writer)
		if err != nil {
			t.Fatal(err)
		}
		// An Open that does not wait has long succeeded when the context ends. On a slow machine
		// the test passes too easily, but never fails without a reason.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s, err := Open(ctx, url); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open while another process migrates = %v, %v, want %v", s, err, context.DeadlineExceeded)
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	})
}
