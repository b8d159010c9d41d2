package sources_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/tributary-gitops/tributary/sources"
)

// serveTLS serves with a certificate of an authority of its own.
func serveTLS(t *testing.T, handler http.Handler, own, clients *testTLS) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = own.config(t)
	if clients != nil {
		pool := x509.NewCertPool()
		ca, err := os.ReadFile(clients.caFile)
		must(t, err)
		pool.AppendCertsFromPEM(ca)
		server.TLS.ClientCAs, server.TLS.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, content, 0o600))
}

func TestGitTrustsAuthorityInFile(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	backend := repo.serve()
	old, next := newTestTLS(t), newTestTLS(t)
	server := serveTLS(t, backend.Config.Handler, old, nil)
	fetchError(t, open(t, server.URL+"/repo.git"), "certificate signed by unknown authority", "--ca-file")

	o := sources.Options{TLS: sources.TLSOptions{CAFile: old.caFile}}
	s := openAs(t, server.URL+"/repo.git", o)
	revision := fetch(t, s, "").Revision

	// The authority and the server's certificate are replaced while the source
	// is open.
	server.CloseClientConnections()
	renewed := serveTLS(t, backend.Config.Handler, next, nil)
	s = openAs(t, renewed.URL+"/repo.git", o)
	fetchError(t, s, "certificate signed by unknown authority")
	copyFile(t, next.caFile, old.caFile)
	fetchNothing(t, s, revision)

	// The system's authorities still count. One of them signed httptest's
	// certificate.
	public := httptest.NewTLSServer(backend.Config.Handler)
	defer public.Close()
	fetch(t, openAs(t, public.URL+"/repo.git", o), "")
}

func TestGitSendsClientCertificate(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	repo.commit(map[string]string{"fleet.yaml": "one"})
	own, clients, others := newTestTLS(t), newTestTLS(t), newTestTLS(t)
	server := serveTLS(t, repo.serve().Config.Handler, own, clients)
	o := sources.Options{TLS: sources.TLSOptions{CAFile: own.caFile}}
	fetchError(t, openAs(t, server.URL+"/repo.git", o), "requires a client certificate", "--client-cert-file")

	o.TLS.CertFile, o.TLS.KeyFile = others.certFile, others.keyFile
	s := openAs(t, server.URL+"/repo.git", o)
	fetchError(t, s, "certificate")
	copyFile(t, clients.certFile, others.certFile)
	fetchError(t, s, "private key does not match")
	copyFile(t, clients.keyFile, others.keyFile)
	fetch(t, s, "")
}

func TestGitRefusesInvalidTLSFiles(t *testing.T) {
	t.Parallel()
	files := newTestTLS(t)
	for _, c := range []struct {
		tls  sources.TLSOptions
		want string
	}{
		{sources.TLSOptions{CAFile: files.caFile + ".gone"}, "no such file"},
		{sources.TLSOptions{CAFile: files.keyFile}, "contains no certificate in PEM format"},
		{sources.TLSOptions{CertFile: files.keyFile, KeyFile: files.keyFile}, files.keyFile},
	} {
		fetchError(t, openAs(t, "https://127.0.0.1:1/repo.git", sources.Options{TLS: c.tls}), c.want)
	}
}
