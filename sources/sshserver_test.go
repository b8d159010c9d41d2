package sources_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
)

// sshServer is Debian's sshd, with one process for each connection to a local
// port. It accepts the user that runs the tests.
type sshServer struct {
	t    testing.TB
	repo *gitRepo
	// dir contains the host keys, the configuration and authorized_keys.
	dir      string
	listener net.Listener

	mu          sync.Mutex
	connections int
	// interceptor may serve a connection instead of sshd; nil leaves all
	// connections to sshd.
	interceptor func(net.Conn)
	running     sync.WaitGroup
}

// serveSSH starts a server with host keys of the given types; the default is
// ed25519.
func (r *gitRepo) serveSSH(types ...string) *sshServer {
	r.t.Helper()
	if len(types) == 0 {
		types = []string{"ed25519"}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(r.t, err)
	s := &sshServer{t: r.t, repo: r, dir: r.t.TempDir(), listener: listener}
	if os.Getuid() == 0 {
		must(r.t, os.MkdirAll("/run/sshd", 0o755)) // sshd needs this directory when it runs as root.
	}
	s.write("authorized_keys", "")
	s.useHostKeys(types...)
	r.t.Cleanup(s.close)
	go s.accept(tool(r.t, "sshd"))
	return s
}

// useHostKeys creates new host keys.
func (s *sshServer) useHostKeys(types ...string) {
	s.t.Helper()
	config := fmt.Sprintf("AuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxAuthTries 4\nPidFile none\n",
		filepath.Join(s.dir, "authorized_keys"))
	for _, kind := range types {
		config += "HostKey " + s.keygen("host-"+kind, "-t", kind) + "\n"
	}
	s.write("sshd_config", config)
}

// keygen creates a key pair and returns the name of its private half. RSA keys
// take long to create, so each of them, identified by name and flags, is
// created once for all tests.
func (s *sshServer) keygen(name string, args ...string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	make := func(file string) {
		s.ssh("ssh-keygen", append([]string{"-q", "-f", file, "-N", "", "-C", "test"}, args...)...)
	}
	for _, old := range []string{file, file + ".pub"} {
		_ = os.Remove(old) // ssh-keygen would ask before it overwrites them.
	}
	if !slices.Contains(args, "rsa") {
		make(file)
		return file
	}
	made := filepath.Join(fixture(s.t, fmt.Sprint("ssh-", name, args), func(dir string) { make(filepath.Join(dir, "key")) }), "key")
	for _, half := range []string{"", ".pub"} {
		content, err := os.ReadFile(made + half)
		must(s.t, err)
		must(s.t, os.WriteFile(file+half, content, 0o600))
	}
	return file
}

// ssh runs one of OpenSSH's programs.
func (s *sshServer) ssh(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(tool(s.t, name), args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *sshServer) write(name, content string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	must(s.t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func (s *sshServer) read(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, name))
	must(s.t, err)
	return strings.TrimSpace(string(content))
}

// admit creates a key that the server accepts.
func (s *sshServer) admit(name string, args ...string) string {
	s.t.Helper()
	file := s.keygen(name, args...)
	s.write("authorized_keys", s.read(name+".pub")+"\n")
	return file
}

// knownHosts returns a file with the host keys of the given types.
func (s *sshServer) knownHosts(types ...string) string {
	s.t.Helper()
	var lines string
	for _, kind := range types {
		lines += s.hostPattern() + " " + s.read("host-"+kind+".pub") + "\n"
	}
	return s.write("known_hosts", lines)
}

// hostPattern is the server's name in known_hosts.
func (s *sshServer) hostPattern() string { return "[127.0.0.1]:" + s.port() }

func (s *sshServer) port() string {
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	must(s.t, err)
	return port
}

func (s *sshServer) account() string {
	s.t.Helper()
	me, err := user.Current()
	must(s.t, err)
	return me.Username
}

// url returns the repository's URL for the current user.
func (s *sshServer) url() string {
	return fmt.Sprintf("ssh://%s@%s%s", s.account(), s.listener.Addr(), s.repo.bare())
}

// options contain a new key that the server accepts, and the server's first
// host key.
func (s *sshServer) options() sources.Options {
	s.t.Helper()
	return sources.Options{Git: sources.GitOptions{
		SSHKeyFile: s.admit("id", "-t", "ed25519"), KnownHostsFile: s.knownHosts("ed25519"),
	}}
}

// intercept sets the interceptor for the following connections.
func (s *sshServer) intercept(intercept func(net.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interceptor = intercept
}

// takeConnections returns the number of connections since its last call.
func (s *sshServer) takeConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.connections
	s.connections = 0
	return n
}

func (s *sshServer) close() {
	_ = s.listener.Close()
	s.running.Wait()
}

func (s *sshServer) accept(sshd string) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.connections++
		intercept := s.interceptor
		s.mu.Unlock()
		s.running.Go(func() {
			if intercept != nil {
				intercept(conn)
				return
			}
			s.run(sshd, conn)
		})
	}
}

// run passes the connection to sshd, as inetd does.
func (s *sshServer) run(sshd string, conn net.Conn) {
	file, err := conn.(*net.TCPConn).File()
	_ = conn.Close()
	if err != nil {
		return
	}
	defer file.Close()
	cmd := exec.Command(sshd, "-i", "-f", filepath.Join(s.dir, "sshd_config"), "-E", filepath.Join(s.dir, "sshd.log"))
	cmd.Stdin, cmd.Stdout = file, file
	cmd.Env = append(os.Environ(), gitEnv()...)
	_ = cmd.Run() // Errors of interrupted tests are in the log.
}

// through passes a number of bytes from sshd before it calls stall.
func (s *sshServer) through(conn net.Conn, after int, stall func(net.Conn)) {
	defer conn.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	defer inner.Close()
	s.running.Go(func() {
		if accepted, err := inner.Accept(); err == nil {
			s.run(tool(s.t, "sshd"), accepted)
		}
	})
	sshd, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		return
	}
	defer sshd.Close()
	go func() {
		_, _ = io.Copy(sshd, conn)
		_ = sshd.Close() // Otherwise, sshd waits forever for a client that is gone.
	}()
	if _, err := io.CopyN(conn, sshd, int64(after)); err == nil {
		stall(conn)
	}
}

// runAgent runs an ssh-agent until the test ends.
func (s *sshServer) runAgent(keys ...string) {
	s.t.Helper()
	// Sockets need short names, which t.TempDir does not have.
	dir, err := os.MkdirTemp("", "agent")
	must(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	socket := filepath.Join(dir, "s")
	cmd := exec.CommandContext(ctx, tool(s.t, "ssh-agent"), "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, cmd.Start())
	s.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	// It prints its address when it listens.
	_, err = out.Read(make([]byte, 1))
	must(s.t, err)
	s.t.Setenv("SSH_AUTH_SOCK", socket)
	for _, key := range keys {
		s.ssh("ssh-add", "-q", key)
	}
}
