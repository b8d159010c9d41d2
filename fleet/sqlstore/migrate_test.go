package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// onBoth runs a test on an empty database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteFile(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, pgtest.Start(t).Database(t)) })
}

func TestNewerSchemaIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.writer.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`); err != nil {
			t.Fatal(err)
		}
		s.Close()
		_, err = Open(t.Context(), url)
		if !errors.Is(err, fleet.ErrStore) || !strings.Contains(err.Error(), "version 9999 and this binary knows 5: a newer Tributary") {
			t.Errorf("Open: error %v, want %v that says who made the database", err, fleet.ErrStore)
		}
	})
}

func TestSchemaThatIsUpToDateTakesNoLock(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
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
	onBoth(t, func(t *testing.T, url string) {
		open, err := dialectOf(url)
		if err != nil {
			t.Fatal(err)
		}
		d, writer, reader, err := open(url)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		defer writer.Close()
		unlock, err := d.lock(t.Context(), writer)
		if err != nil {
			t.Fatal(err)
		}
		// Long enough for one that does not wait, and whatever it takes it is no
		// reason for one that does to succeed.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s, err := Open(ctx, url); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open while another migrates = %v, %v, want %v", s, err, context.DeadlineExceeded)
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
