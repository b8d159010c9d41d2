package sqlstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// TestMain makes the test binary a process that appends forever where the environment says to
// which log.
func TestMain(m *testing.M) {
	if url := os.Getenv("TRIBUTARY_TEST_APPEND_TO"); url != "" {
		fmt.Fprintln(os.Stderr, appendForever(url))
		os.Exit(1)
	}
	os.Exit(pgtest.Main(m))
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(sqliteFile(t)) })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(server.Database(t)) })
}

// database opens handles on the database at a URL.
func database(url string) storetest.Database {
	return func(t testing.TB, now func() time.Time) storetest.Store {
		s := open(t, url)
		s.Now = now
		return s
	}
}

// open opens a handle, and closes it when the test ends.
func open(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), url)
	if err != nil {
		t.Error(err)
		panic(err) // t.FailNow ends only the goroutine that calls it, and some tests open in several
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sqliteFile returns the URL of a database that does not exist yet.
func sqliteFile(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "tributary.db")
}

// onBoth runs a test on an empty database of each kind.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteFile(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.Shared(t).Database(t))
	})
}
