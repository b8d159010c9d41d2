// Package kubetest runs a real Kubernetes API server and its etcd for a test.
//
//	server := kubetest.Start(t)
//	client := kubetest.NewClient(server.Config())
//	err := client.Apply(t.Context(), object)
//
// There are no nodes and no controllers: objects are admitted, defaulted and stored, and
// nothing acts on them. A test fails if a program is missing; `make conformance` builds
// the programs and sets the environment variables that name them.
package kubetest

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"

	"github.com/tributary-gitops/tributary/fleet/storetest/daemon"
)

// timeout is how long a program may take to start or stop.
const timeout = 2 * time.Minute

// Server is an API server. It takes seconds to start, so share one between tests.
type Server struct {
	dir   string // of certificates, keys, credentials and the socket of etcd
	url   string
	token string
}

// Start starts a server that runs until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	// The path of t.TempDir is too long for a socket.
	dir, err := os.MkdirTemp("", "kubetest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // leftovers do no harm
	s := &Server{dir: dir, token: rand.Text()}
	s.run(t, program(t, "ETCD"), "--data-dir", s.file("etcd"), "--name", "etcd", "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", s.etcd(), "--advertise-client-urls", s.etcd(),
		"--listen-peer-urls", s.etcdPeer(), "--initial-advertise-peer-urls", s.etcdPeer(), "--initial-cluster", "etcd="+s.etcdPeer())
	key, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "service-accounts.pem", key)
	s.write(t, "tokens.csv", []byte(s.token+",test,test,system:masters\n"))
	port := freePort(t)
	s.url = "https://127.0.0.1:" + port
	server := s.run(t, program(t, "KUBE_APISERVER"), "--etcd-servers", s.etcd(),
		"--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", dir,
		"--authorization-mode", "RBAC", "--token-auth-file", s.file("tokens.csv"),
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", s.file("service-accounts.pem"),
		"--service-account-signing-key-file", s.file("service-accounts.pem"),
		"--service-cluster-ip-range", "10.0.0.0/24", "--endpoint-reconciler-type", "none")
	s.await(t, server)
	return s
}

// Config returns the configuration of a client with all rights.
func (s *Server) Config() *rest.Config {
	return &rest.Config{
		Host: s.url, BearerToken: s.token, QPS: -1, // no rate limit
		TLSClientConfig: rest.TLSClientConfig{CAFile: s.file("apiserver.crt")},
	}
}

// Kubeconfig writes Config to a kubeconfig file whose context has this namespace.
func (s *Server) Kubeconfig(t testing.TB, namespace string) string {
	t.Helper()
	config := api.NewConfig()
	config.Clusters["kubetest"] = &api.Cluster{Server: s.url, CertificateAuthority: s.file("apiserver.crt")}
	config.AuthInfos["kubetest"] = &api.AuthInfo{Token: s.token}
	config.Contexts["kubetest"] = &api.Context{Cluster: "kubetest", AuthInfo: "kubetest", Namespace: namespace}
	config.CurrentContext = "kubetest"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// await returns when the server is ready and has created its own objects.
func (s *Server) await(t testing.TB, server *daemon.Process) {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		err := s.ready()
		if err == nil {
			return
		}
		if server.Ended() || time.Now().After(deadline) {
			t.Fatalf("the Kubernetes API server does not start: %v\n%s", err, server.Output())
		}
	}
}

// ready loads the certificate on each call, because it does not exist at first.
func (s *Server) ready() error {
	client, err := rest.HTTPClientFor(s.Config())
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	answer, err := client.Get(s.url + "/readyz?verbose")
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body) // an error leaves the status alone
		return fmt.Errorf("%s: %s", answer.Status, body)
	}
	return nil
}

// run runs a program until the test ends.
func (s *Server) run(t testing.TB, program string, args ...string) *daemon.Process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	process := daemon.Start(t, cmd)
	t.Cleanup(func() {
		// Kill it: nothing outlives the test, and a shutdown takes long.
		if !process.Stop(syscall.SIGKILL, timeout) {
			t.Errorf("%s does not stop", program)
		}
	})
	return process
}

func (s *Server) etcd() string     { return "unix://" + s.file("etcd.sock") }
func (s *Server) etcdPeer() string { return "unix://" + s.file("peer.sock") }

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) write(t testing.TB, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(s.file(name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// program returns the path of a program from an environment variable of make.
func program(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: run `make conformance`", variable)
	}
	return path
}

// freePort returns an unused port. The API server cannot choose one itself.
func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
