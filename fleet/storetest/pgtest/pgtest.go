// Package pgtest runs a real PostgreSQL server for tests, in a directory of its own, behind a Unix
// socket, so that no test needs a server that somebody has set up:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
//
//	func TestIt(t *testing.T) {
//		url := pgtest.Shared(t).Database(t)
//		…
//	}
//
// A machine without PostgreSQL fails the test rather than skipping it, because a promise that no
// test checks is no promise.
package pgtest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/storetest/daemon"
)

// Server is a PostgreSQL server.
type Server struct {
	bin  string // the directory of its programs
	dir  string // the directory of its socket and data
	user *account

	databases atomic.Int64
	process   *daemon.Process
}

// patience is how long a server may take to start or stop.
const patience = 2 * time.Minute

// Start starts a server that runs until the test ends. That takes seconds: a test that does not
// stop or break its server should use Shared.
func Start(t testing.TB) *Server {
	t.Helper()
	s := create(t)
	t.Cleanup(s.remove)
	s.Resume(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// shared is the server of Shared, nil until a test asks for it.
var shared struct {
	sync.Mutex
	server *Server
}

// Shared returns the one server that all tests of a binary share. The first call starts it, and
// Main stops it. Each test takes a database of its own.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s := create(t)
		s.Resume(t)
		shared.server = s
	}
	return shared.server
}

// Main runs the tests of a binary and then stops the shared server. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if s := shared.server; s != nil {
		s.process.Stop(syscall.SIGQUIT, patience)
		s.remove()
	}
	return code
}

// create makes the directory of a server, which is not running yet.
func create(t testing.TB) *Server {
	t.Helper()
	s := &Server{bin: programs(t), user: serverUser(t)}
	// Not t.TempDir: other users cannot enter it, and its path is too long for a socket.
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	s.user.own(t, dir)
	// Nothing here outlives the tests, so nothing has to reach the disk.
	s.run(t, "initdb", "--pgdata", s.data(), "--username", "tributary", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	return s
}

// remove removes the directory of a server. What cannot be removed does no harm.
func (s *Server) remove() { _ = os.RemoveAll(s.dir) }

// Database creates an empty database and returns its URL. Options are those of createdb.
func (s *Server) Database(t testing.TB, options ...string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.databases.Add(1))
	s.run(t, "createdb", slices.Concat(s.connection(), options, []string{name})...)
	return s.URL(name)
}

// URL returns the URL of a database.
func (s *Server) URL(database string) string {
	return "postgres://tributary@/" + database + "?" + url.Values{"host": {s.dir}}.Encode()
}

// Run runs SQL in the database at a URL.
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

// Stop stops the server at once, in the middle of whatever it does.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if !s.process.Stop(syscall.SIGQUIT, patience) {
		t.Errorf("the PostgreSQL server does not stop:\n%s", s.process.Output())
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) connection() []string { return []string{"--host", s.dir, "--username", "tributary"} }

// run runs one of PostgreSQL's programs and waits for its end.
func (s *Server) run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, bytes.TrimSpace(out))
	}
}

// command returns one of PostgreSQL's programs, in an environment that does not depend on who runs
// the test.
func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = s.user.attributes()
	return cmd
}
