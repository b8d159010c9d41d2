package sqlstore_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest"
)

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
		panic(err) // t.FailNow would end only the goroutine of several
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sqliteFile is the URL of a database that is yet to be made.
func sqliteFile(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "tributary.db")
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(sqliteFile(t)) })
}
