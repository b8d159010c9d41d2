package pgtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// programs finds the directory of PostgreSQL's programs. Debian keeps them outside of PATH, by
// version.
func programs(t testing.TB) string {
	t.Helper()
	if found, err := exec.LookPath("initdb"); err == nil {
		if found, err = filepath.EvalSymlinks(found); err == nil {
			return filepath.Dir(found)
		}
	}
	newest, version := "", 0
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is valid
	for _, f := range found {
		bin := filepath.Dir(f)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && v > version {
			newest, version = bin, v
		}
	}
	if newest == "" {
		t.Fatal("this test needs PostgreSQL, which is not installed: " +
			"apt-get install postgresql, or put the directory of its initdb on PATH")
	}
	return newest
}

// serverUser returns the user that the server runs as: the one that runs the test, unless that is
// root, which PostgreSQL refuses.
func serverUser(t testing.TB) *account {
	t.Helper()
	if os.Geteuid() != 0 {
		return &account{}
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL refuses to run as root, and the user postgres does not exist: %v; "+
			"apt-get install postgresql creates it", err)
	}
	uid, _ := strconv.ParseUint(found.Uid, 10, 32)
	gid, _ := strconv.ParseUint(found.Gid, 10, 32)
	return &account{credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// account is a user. A nil credential is that of the test.
type account struct{ credential *syscall.Credential }

// own gives a directory to the user.
func (u *account) own(t testing.TB, dir string) {
	t.Helper()
	if u.credential == nil {
		return
	}
	if err := os.Chown(dir, int(u.credential.Uid), int(u.credential.Gid)); err != nil {
		t.Fatal(err)
	}
}

func (u *account) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: u.credential}
}
