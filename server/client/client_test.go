package client_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

// newClient returns a client of a server, with a token unless that is empty.
func newClient(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: url, Token: token, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClientSendsTheTokenToItsServerOnly(t *testing.T) {
	t.Parallel()
	for url, token := range map[string]string{
		"http://tributary.example.com":       "secret",
		"http://localhost.example.com:8080":  "secret",
		"https://user:secret@tributary.test": "",
		"ftp://127.0.0.1":                    "",
		"https://":                           "",
		"https://a.test?token=secret":        "",
		"http://127.0.0.1:80":                "two words",
	} {
		_, err := client.New(client.Config{URL: url, Token: token})
		if err == nil || strings.Contains(err.Error(), "user:") {
			t.Errorf("NewClient(%s, %q) = %v, want an error without credentials", url, token, err)
		}
	}
	for _, url := range []string{"http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "https://tributary.example.com/prefix"} {
		if _, err := client.New(client.Config{URL: url, Token: "secret"}); err != nil {
			t.Errorf("NewClient(%s) = %v", url, err)
		}
	}
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(other.Close)
	here := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(here.Close)
	_, err := newClient(t, here.URL, "secret").Releases(t.Context(), fleet.ReleaseQuery{})
	if err == nil || asked || !strings.Contains(err.Error(), other.URL) {
		t.Errorf("a redirect: %v, followed: %v; want an error that says where to", err, asked)
	}
}

func TestClientReportsOtherServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status      int
		kind, body  string
		wantInError string
	}{
		"a proxy":       {502, "text/html", "<html>", "502 Bad Gateway"},
		"other JSON":    {404, "application/json", "{}", "404 Not Found"},
		"other problem": {404, "application/problem+json", `{"type": "about:blank", "title": "x"}`, "404 Not Found"},
		"a web page":    {200, "text/html", "<html>", "text/html"},
		"broken JSON":   {200, "application/json", "{", "cannot be read"},
	} {
		there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		_, err := newClient(t, there.URL, "").Cluster(t.Context(), "x")
		there.Close()
		if err == nil || !strings.Contains(err.Error(), c.wantInError) || !strings.Contains(err.Error(), there.URL) {
			t.Errorf("%s: %v, want %q and %s in it", name, err, c.wantInError, there.URL)
		}
	}
}

func TestClientReportsWritesOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(cut.Close)
	const hint = "the history shows"
	c := newClient(t, cut.URL, "")
	if _, err := c.DeleteDelta(t.Context(), client.WriteOptions{}, "delta/x"); err == nil || !strings.Contains(err.Error(), hint) {
		t.Errorf("a write that was cut: %v, want %q", err, hint)
	}
	if _, err := c.Releases(t.Context(), fleet.ReleaseQuery{}); err == nil || strings.Contains(err.Error(), hint) {
		t.Errorf("a read that was cut: %v", err)
	}
	nobody := newClient(t, "http://127.0.0.1:1", "")
	if _, err := nobody.DeleteDelta(t.Context(), client.WriteOptions{}, "delta/x"); err == nil || strings.Contains(err.Error(), hint) {
		t.Errorf("a write that never left: %v", err)
	}
}

func TestClientUsesCertificates(t *testing.T) {
	t.Parallel()
	there := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"source": {"name": %q}}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(there.Close)
	ca := writeFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: there.Certificate().Raw})))
	cfg := client.Config{URL: there.URL, Token: "secret"}
	ask := func() (string, error) {
		c, err := client.New(cfg)
		if err != nil {
			return "", err
		}
		releases, err := c.Releases(t.Context(), fleet.ReleaseQuery{})
		return releases.Source.Name, err
	}
	if _, err := ask(); err == nil {
		t.Error("a certificate of nobody known is trusted")
	}
	cfg.CAFile = ca
	if got, err := ask(); err != nil || got != "Bearer secret" {
		t.Errorf("with the certificate as CA: %q, %v", got, err)
	}
	for _, wrong := range []func(){
		func() { cfg.CAFile = writeFile(t, "empty.pem", "") },
		func() { cfg.CAFile, cfg.CertFile = ca, ca },
		func() { cfg.CertFile, cfg.KeyFile = ca, ca },
		func() { cfg.CertFile, cfg.KeyFile, cfg.CAFile = "", "", "/does/not/exist" },
	} {
		wrong()
		if _, err := ask(); err == nil {
			t.Errorf("%+v is no error", cfg)
		}
	}
}
