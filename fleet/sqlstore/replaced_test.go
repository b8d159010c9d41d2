package sqlstore_test

import (
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
