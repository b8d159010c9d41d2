package sources_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// requirePassword makes a proxy refuse what comes without the credentials.
func (p *forwardProxy) requirePassword(user, password string) {
	next := p.Config.Handler
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != want {
			http.Error(w, "no", http.StatusProxyAuthRequired)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

// TestSourceProxyOfARegistry uses the name of a host that only the proxy can resolve.
func TestSourceProxyOfARegistry(t *testing.T) {
	t.Parallel()
	server := newRegistryServer(t)
	server.pushFlux("fleet:v1", someFiles)
	o := server.options()

	p := newForwardProxy(t, "http://"+server.host)
	p.requirePassword("me", "hunter2")
	o.Proxy = sources.ProxyOptions{URL: p.URL, AuthFile: secretFile(t, "me:hunter2\n")}
	s := openAs(t, "oci://registry.invalid/fleet:v1", o)
	wantContents(t, fetch(t, s, "").Tree, someFiles)
	if !strings.HasPrefix(p.requests(), "HEAD registry.invalid, GET registry.invalid") {
		t.Errorf("the proxy was asked for %q", p.requests())
	}
	must(t, os.WriteFile(o.Proxy.AuthFile, []byte("me:other"), 0o600)) // It is read again.
	if err := fetchError(t, s, "407"); strings.Contains(err.Error(), "other") {
		t.Errorf("error = %q, which tells the password", err)
	}
	must(t, os.WriteFile(o.Proxy.AuthFile, []byte("hunter2"), 0o600))
	if err := fetchError(t, s, "does not contain user:password"); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error = %q, which tells the password", err)
	}

	socks, asked := serveSOCKS(t, server.host)
	o.Proxy = sources.ProxyOptions{URL: "socks5://" + socks}
	wantContents(t, fetch(t, openAs(t, "oci://registry.invalid/fleet:v1", o), "").Tree, someFiles)
	if name := asked(); name != "registry.invalid" {
		t.Errorf("the proxy was asked for %q", name)
	}
}

func TestSourceProxyOfAGitHost(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	want := "main@sha1:" + repo.commit(map[string]string{"fleet.yaml": "one"})
	p := newForwardProxy(t, repo.serve().URL)
	o := sources.Options{Proxy: sources.ProxyOptions{URL: p.URL}}
	if got := fetch(t, openAs(t, "http://git.invalid/repo.git", o), "").Revision; got != want || p.requests() != "GET git.invalid, POST git.invalid" {
		t.Errorf("revision = %q with %q asked of the proxy, want %s", got, p.requests(), want)
	}
}

func TestSourceProxyOfAnSSHHost(t *testing.T) {
	t.Parallel()
	repo := newGitRepo(t)
	want := "main@sha1:" + repo.commit(map[string]string{"fleet.yaml": "one"})
	server := repo.serveSSH()
	o := server.options()
	server.write("known_hosts", "git.invalid "+server.read("host-ed25519.pub")+"\n")
	source := strings.Replace(server.url(), server.listener.Addr().String(), "git.invalid", 1)

	p := newForwardProxy(t, "http://"+server.listener.Addr().String())
	p.requirePassword("me", "hunter2")
	o.Proxy = sources.ProxyOptions{URL: p.URL, AuthFile: secretFile(t, "me:hunter2")}
	if got := fetch(t, openAs(t, source, o), "").Revision; got != want || p.requests() != "CONNECT git.invalid:22" {
		t.Errorf("revision = %q with %q asked of the proxy, want %s", got, p.requests(), want)
	}
	must(t, os.WriteFile(o.Proxy.AuthFile, []byte("me:other"), 0o600))
	fetchError(t, openAs(t, source, o), "proxy ", "it answered 407 Proxy Authentication Required")

	socks, asked := serveSOCKS(t, server.listener.Addr().String())
	o.Proxy = sources.ProxyOptions{URL: "socks5://" + socks}
	if got := fetch(t, openAs(t, source, o), "").Revision; got != want || asked() != "git.invalid" {
		t.Errorf("revision = %q, want %s through the proxy", got, want)
	}
	o.Proxy.URL = "https://127.0.0.1:1"
	fetchError(t, openAs(t, source, o), "https proxy, which can be used only for https and http")

	down := httptest.NewServer(nil)
	down.Close()
	o.Proxy.URL = down.URL
	fetchError(t, openAs(t, source, o), "proxy "+strings.TrimPrefix(down.URL, "http://"))
}

func TestOpenRefusesProxies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://user:hunter2@host:1": "contains credentials",
		"host:3128":                  "is not the URL of a proxy",
		"ftp://host":                 "is not the URL of a proxy",
		"http://:3128":               "is not the URL of a proxy",
		"http://host/hunter2":        "is not the URL of a proxy",
		"http://host:hunter2":        "is not the URL of a proxy",
	} {
		_, err := sources.Open("oci://host/repo:v1", sources.Options{Proxy: sources.ProxyOptions{URL: text}})
		if !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("proxy %q: %v, want a fleet.ErrInvalid that says %q, without hunter2", text, err, want)
		}
	}
	_, err := sources.Open("oci://host/repo:v1", sources.Options{Proxy: sources.ProxyOptions{AuthFile: "file"}})
	wantText(t, err, "no effect without a proxy")
}
