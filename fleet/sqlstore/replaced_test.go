package sqlstore_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
)

// TestSQLiteFileThatWasReplacedTakesNothing: a change is not acknowledged where the file that it
// is written to has lost its name.
func TestSQLiteFileThatWasReplacedTakesNothing(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
		"without its WAL":    func(path string) error { return os.Remove(path + "-wal") },
		"without its index":  func(path string) error { return os.Remove(path + "-shm") },
		"with an empty WAL":  func(path string) error { return os.Truncate(path+"-wal", 0) },
		"with a shorter WAL": func(path string) error { return os.Truncate(path+"-wal", 5_000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "log.db")
			s, err := sqlstore.Open(t.Context(), "sqlite:"+path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			err = s.Append(t.Context(), &fleet.Change{Generation: 1, At: time.Now(), Kind: fleet.Written})
			if !errors.Is(err, fleet.ErrStore) {
				t.Errorf("Append = %v, want a fleet.ErrStore", err)
			}
		})
	}
}

// TestSQLiteWALMayBeTruncatedByACheckpoint: a person or a backup may do that, and nothing in the
// WAL is needed then.
func TestSQLiteWALMayBeTruncatedByACheckpoint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.db")
	s := open(t, "sqlite:"+path)
	t.Cleanup(func() { _ = s.Close() })
	other, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	for generation := range int64(3) {
		if err := s.Append(t.Context(), &fleet.Change{Generation: generation + 1, At: time.Now(), Kind: fleet.Written}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.ExecContext(t.Context(), `PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path + "-wal"); err != nil || info.Size() != 0 {
			t.Fatalf("the WAL is %v, %v, want it empty", info, err)
		}
	}
}
