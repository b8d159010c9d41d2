package sources_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/tributary-gitops/tributary/sources"
)

// registryServer is Debian's docker-registry on a loopback port.
type registryServer struct {
	t testing.TB
	// host is 127.0.0.1:port.
	host string
	// user and password are required, if set.
	user, password string
	// authority is the file of the certificate that signed the registry's;
	// empty for plain http.
	authority string
	tls       *testTLS
}

type registryOption func(r *registryServer, config map[string]any)

// withPassword makes the registry require basic authentication.
func withPassword(user, password string) registryOption {
	return func(r *registryServer, config map[string]any) {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		must(r.t, err)
		file := filepath.Join(r.t.TempDir(), "htpasswd")
		must(r.t, os.WriteFile(file, []byte(user+":"+string(hash)+"\n"), 0o600))
		config["auth"] = map[string]any{"htpasswd": map[string]any{"realm": "test", "path": file}}
		r.user, r.password = user, password
	}
}

// withTLS makes the registry use https only, with a certificate of an authority
// of its own. If clientCertificate is set, it requires a client certificate.
func withTLS(clientCertificate bool) registryOption {
	return func(r *registryServer, config map[string]any) {
		r.tls = newTestTLS(r.t)
		r.authority = r.tls.caFile
		files := map[string]any{"certificate": r.tls.certFile, "key": r.tls.keyFile}
		if clientCertificate {
			files["clientcas"] = []string{r.tls.caFile}
		}
		config["http"].(map[string]any)["tls"] = files
	}
}

func newRegistryServer(t testing.TB, options ...registryOption) *registryServer {
	t.Helper()
	r := &registryServer{t: t}
	config := map[string]any{
		"version": "0.1",
		"storage": map[string]any{
			"inmemory": map[string]any{},
			"delete":   map[string]any{"enabled": true},
		},
		"http": map[string]any{"addr": "127.0.0.1:0", "secret": "of this test"},
		"log":  map[string]any{"level": "info"},
	}
	for _, option := range options {
		option(r, config)
	}
	text, err := json.Marshal(config) // JSON is YAML.
	must(t, err)
	file := filepath.Join(t.TempDir(), "config.yml")
	must(t, os.WriteFile(file, text, 0o600))
	r.run(exec.Command(tool(t, "docker-registry"), "serve", file))
	return r
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// run returns when the registry listens, and stops it after the test.
func (r *registryServer) run(cmd *exec.Cmd) {
	r.t.Helper()
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	log, err := cmd.StderrPipe()
	must(r.t, err)
	must(r.t, cmd.Start())
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var said strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			r.host = found[1]
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return
		}
		said.WriteString(lines.Text() + "\n")
	}
	r.t.Fatalf("docker-registry does not start:\n%s", said.String())
}

// url returns an oci:// SOURCE in the registry.
func (r *registryServer) url(reference string) string { return "oci://" + r.host + "/" + reference }

// options are the options for reading from the registry.
func (r *registryServer) options() sources.Options {
	o := sources.Options{PlainHTTP: r.authority == "", TLS: sources.TLSOptions{CAFile: r.authority}}
	if r.user != "" {
		o.OCI.ConfigFile = dockerConfigFile(r.t, map[string]string{r.host: r.user + ":" + r.password})
	}
	return o
}

// open opens an artifact in the registry.
func (r *registryServer) open(reference string) sources.Source {
	r.t.Helper()
	return openAs(r.t, r.url(reference), r.options())
}

func openAs(t testing.TB, ref string, o sources.Options) sources.Source {
	t.Helper()
	s, err := sources.Open(ref, o)
	if err != nil {
		t.Fatalf("Open(%q): %v", ref, err)
	}
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// oras runs the oras command in a directory, with the registry's credentials.
func (r *registryServer) oras(dir string, args ...string) string {
	r.t.Helper()
	flags := []string{"--registry-config", r.options().OCI.ConfigFile}
	if r.user == "" {
		flags[1] = dockerConfigFile(r.t, nil)
	}
	if r.authority == "" {
		flags = append(flags, "--plain-http")
	} else {
		flags = append(flags, "--ca-file", r.authority)
	}
	if r.tls != nil {
		flags = append(flags, "--cert-file", r.tls.certFile, "--key-file", r.tls.keyFile)
	}
	cmd := exec.Command(tool(r.t, "oras"), append(slices.Clone(args), flags...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("oras %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// dockerConfigFile writes a config.json with a user:password for each key.
func dockerConfigFile(t testing.TB, auths map[string]string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.json")
	writeDockerConfig(t, file, auths)
	return file
}

func writeDockerConfig(t testing.TB, file string, auths map[string]string) {
	t.Helper()
	entries := map[string]any{}
	for key, value := range auths {
		entries[key] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(value))}
	}
	text, err := json.Marshal(map[string]any{"auths": entries})
	must(t, err)
	must(t, os.WriteFile(file, text, 0o600))
}

// registryProxy is a proxy in front of a registry that counts requests and can
// intercept them.
type registryProxy struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	// interceptor may answer a request instead of the registry, and reports
	// whether it did; nil passes all requests on.
	interceptor func(w http.ResponseWriter, r *http.Request) bool
}

// proxy uses plain http.
func (r *registryServer) proxy() *registryProxy {
	r.t.Helper()
	target := &url.URL{Scheme: "http", Host: r.host}
	p := &registryProxy{}
	forward := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		pr.Out.Host = pr.In.Host // The locations of uploads contain it.
	}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		p.mu.Lock()
		p.requests = append(p.requests, request.Method+" "+request.URL.Path)
		intercept := p.interceptor
		p.mu.Unlock()
		if intercept != nil && intercept(w, request) {
			return
		}
		forward.ServeHTTP(w, request)
	}))
	r.t.Cleanup(p.Close)
	return p
}

func (p *registryProxy) host() string { return strings.TrimPrefix(p.URL, "http://") }

func (p *registryProxy) intercept(intercept func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interceptor = intercept
}

// takeRequests returns the requests since its last call.
func (p *registryProxy) takeRequests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	requests := p.requests
	p.requests = nil
	return requests
}

// testTLS is an authority and a certificate for 127.0.0.1 that it signed, for
// servers and clients, in files.
type testTLS struct{ caFile, certFile, keyFile string }

func newTestTLS(t testing.TB) *testTLS {
	t.Helper()
	dir := t.TempDir()
	files := &testTLS{filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: cloudHosts,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	for file, block := range map[string]*pem.Block{
		files.caFile:   {Type: "CERTIFICATE", Bytes: caDER},
		files.certFile: {Type: "CERTIFICATE", Bytes: der},
		files.keyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		must(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return files
}

// config returns the configuration of a server in the test.
func (f *testTLS) config(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
	must(t, err)
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

// writeTree writes files below a new directory, with times as if they had been
// there for a while. A content that begins with "-> " is a symbolic link's target.
func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if target, ok := strings.CutPrefix(files[name], "-> "); ok {
			must(t, os.Symlink(target, file))
			continue
		}
		must(t, os.WriteFile(file, []byte(files[name]), 0o644))
	}
	settled(t, dir)
	return dir
}

// digestOf returns the digest in the output of oras push.
func digestOf(t testing.TB, said string) string {
	t.Helper()
	found := regexp.MustCompile(`sha256:[0-9a-f]{64}`).FindString(said[max(0, strings.LastIndex(said, "Digest:")):])
	if found == "" {
		t.Fatalf("oras names no digest: %q", said)
	}
	return found
}
