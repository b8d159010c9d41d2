package sqlstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
)

func TestUnusableURLIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		url  string
		kind error
		want string
	}{
		{"", fleet.ErrInvalid, "must be sqlite:PATH or postgres://"},
		{"tributary.db", fleet.ErrInvalid, "must be sqlite:PATH or postgres://"},
		{"mysql://root:s3cr3t@db/tributary", fleet.ErrInvalid, "store mysql://…: invalid: must be sqlite:PATH"},
		{"root:s3cr3t@db/tributary", fleet.ErrInvalid, "must be sqlite:PATH"},
		{"sqlite:", fleet.ErrInvalid, "the path of a file"},
		{"sqlite::memory:", fleet.ErrInvalid, "the path of a file"},
		{"sqlite://tributary.db", fleet.ErrInvalid, "leave out the //"},
		{"sqlite:" + dir, fleet.ErrStore, "not a file"},
		{"sqlite:" + dir + "/none/tributary.db", fleet.ErrStore, "no such file or directory"},
		{"sqlite:" + text, fleet.ErrStore, "not a database"},
		{"postgres://ada:s3cr3t@db:port/x", fleet.ErrInvalid, "percent-encoded"},
		{"postgres://ada:s3cr3t%zz@db/x", fleet.ErrInvalid, "percent-encoded"},
		{"postgres://ada:s3/s3cr3t@db/x", fleet.ErrInvalid, ""},
		{"postgres://ada:1234/s3cr3t@db/x?sslmode=maybe", fleet.ErrInvalid, "percent-encoded"},
		{"postgresql://ada:s3cr3t@db/x?sslmode=maybe", fleet.ErrInvalid, "sslmode"},
		{"postgres://db/x?sslmode=maybe&password=s3cr3t", fleet.ErrInvalid, "sslmode"},
		{"postgres://ada:s3cr3t@127.0.0.1:1/x", fleet.ErrStore, "127.0.0.1:1"},
		{"postgres://ada:s3cr3t@127.0.0.1:1,127.0.0.1:2/x", fleet.ErrStore, "127.0.0.1:2"},
	} {
		s, err := sqlstore.Open(t.Context(), test.url)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("Open(%q): error %v, want %v that says %q and no password", test.url, err, test.kind, test.want)
		}
	}
}

func TestSQLitePathIsTakenAsItIs(t *testing.T) {
	for _, name := range []string{"a b.db", "what?mode=memory", "50%25.db", "#1.db", "file:x", "ä.db", "a&_txlock=deferred"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, "sqlite:"+path)
		info, err := os.Stat(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want only its owner to read it", name, info.Mode())
		}
	}
	t.Chdir(t.TempDir())
	open(t, "sqlite:tributary.db")
	if _, err := os.Stat("tributary.db"); err != nil {
		t.Error(err)
	}
}

// TestSQLiteLeavesPermissionsOfADatabaseAlone: an administrator may have given others access.
func TestSQLiteLeavesPermissionsOfADatabaseAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tributary.db")
	if err := open(t, "sqlite:"+path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	open(t, "sqlite:"+path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file has mode %v, want 0640 (%v)", info.Mode(), err)
	}
}
