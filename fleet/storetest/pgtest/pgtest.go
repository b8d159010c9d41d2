// Package pgtest runs a PostgreSQL server for a test: the real one, in a
// directory of its own, behind a Unix socket, for as long as the test takes. It
// is there so that no test needs a server that somebody has set up. A machine
// without PostgreSQL fails the test, because a promise that is not tested
// anywhere is none.
package pgtest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/storetest/daemon"
)

// Server is a PostgreSQL server.
type Server struct {
	bin  string // where its programs are
	dir  string // of its socket, log and data
	user *account

	databases atomic.Int64
	process   *daemon.Process
}

// patience is how long a server may take to start or stop.
const patience = 2 * time.Minute

// Start starts a server that runs until the test ends. Databases of several
// subtests are best had from one server, which takes seconds to make.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{bin: programs(t), user: serverUser(t)}
	// Not t.TempDir, which only the user of the test can look into, and which is
	// too long for a socket's path.
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is in the way of nobody
	s.user.own(t, dir)
	// Nothing here outlives the test, so nothing need be on the disk.
	s.run(t, "initdb", "--pgdata", s.data(), "--username", "tributary", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	s.Resume(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(t testing.TB, options ...string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	s.run(t, "createdb", slices.Concat(s.connection(), options, []string{name})...)
	return s.URL(name)
}

// URL is that of a database.
func (s *Server) URL(database string) string {
	return "postgres://tributary@/" + database + "?" + url.Values{"host": {s.dir}}.Encode()
}

// Run runs SQL in a database, given by its URL.
func (s *Server) Run(t testing.TB, url, sql string) {
	t.Helper()
	s.run(t, "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--command", sql, url)
}

// Own gives a directory to the server's user.
func (s *Server) Own(t testing.TB, dir string) { s.user.own(t, dir) }

// Resume starts a server that was stopped.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.process = daemon.Start(t, s.command("postgres", "-D", s.data(), "-c", "unix_socket_directories="+s.dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"))
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if s.command("pg_isready", append(s.connection(), "--quiet")...).Run() == nil {
			return
		}
		if s.process.Ended() || time.Now().After(deadline) {
			t.Fatalf("the PostgreSQL server does not start:\n%s", s.process.Output())
		}
	}
}

// Stop stops the server in the middle of whatever it does.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if !s.process.Stop(syscall.SIGQUIT, patience) {
		t.Errorf("the PostgreSQL server does not stop:\n%s", s.process.Output())
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) connection() []string { return []string{"--host", s.dir, "--username", "tributary"} }

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, bytes.TrimSpace(out))
	}
}

// command is one of PostgreSQL's programs, in nobody's own environment.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = s.user.attributes()
	return cmd
}
