package server_test

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
)

func TestCredentialsAreBearerOrBasic(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	basic := func(pair string) string { return base64.StdEncoding.EncodeToString([]byte(pair)) }
	for authorization, want := range map[string]int{
		"Bearer " + clusterToken:                    http.StatusOK,
		"bearer   " + clusterToken + " ":            http.StatusOK,
		"Basic " + basic("flux:"+clusterToken):      http.StatusOK,
		"BASIC " + basic(":"+clusterToken):          http.StatusOK,
		"":                                          http.StatusUnauthorized,
		"Bearer":                                    http.StatusUnauthorized,
		"Bearer ":                                   http.StatusUnauthorized,
		"Bearer " + clusterToken + "x":              http.StatusUnauthorized,
		"Bearer " + clusterToken[:5]:                http.StatusUnauthorized,
		"Bearer " + hash(clusterToken):              http.StatusUnauthorized,
		"Bearer " + strings.Repeat("x", 4000):       http.StatusUnauthorized,
		"Token " + clusterToken:                     http.StatusUnauthorized,
		clusterToken:                                http.StatusUnauthorized,
		"Basic " + basic(clusterToken):              http.StatusUnauthorized,
		"Basic " + basic(clusterToken+":"):          http.StatusUnauthorized,
		"Basic " + clusterToken:                     http.StatusUnauthorized,
		"Basic !!!":                                 http.StatusUnauthorized,
		"Bearer " + viewerToken + "," + viewerToken: http.StatusUnauthorized,
	} {
		reply := h.get(kedaPath, "Authorization", authorization)
		if reply.status != want {
			t.Errorf("Authorization %q = %d, want %d", authorization, reply.status, want)
		}
		if want != http.StatusUnauthorized {
			continue
		}
		reply.problem(t, want, "unauthenticated")
		challenges := strings.Join(reply.header.Values("WWW-Authenticate"), " ")
		if !strings.Contains(challenges, "Bearer ") || !strings.Contains(challenges, "Basic ") {
			t.Errorf("WWW-Authenticate = %q", challenges)
		}
	}
	h.get(kedaPath+"?token="+clusterToken+"&access_token="+clusterToken).problem(t, http.StatusUnauthorized, "unauthenticated")
}

func TestFailedAttemptsAreCounted(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.get(kedaPath, bearer("wrong")...)
	h.get("/api/v1/clusters", bearer("wrong")...)
	h.get(kedaPath)                                    // without a credential
	h.get("/api/v1/clusters", bearer(clusterToken)...) // a valid credential of too low a role
	h.get(kedaPath, bearer(strings.Repeat("x", 513))...)
	h.get("/healthz", bearer("wrong")...) // needs no credential
	for kind, want := range map[string]string{"token": "2", "too_long": "1", "jwt": "0", "certificate": "0"} {
		if got := h.metric(`tributary_authentication_failures_total{kind="` + kind + `"}`); got != want {
			t.Errorf("failures of kind %s = %q, want %s", kind, got, want)
		}
	}
}

func TestWithoutTokensOnlyALoopbackHostIsAnswered(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	_, port, err := net.SplitHostPort(h.addr)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"localhost":             http.StatusOK,
		"LocalHost:" + port:     http.StatusOK,
		"localhost.:" + port:    http.StatusOK,
		"127.0.0.1":             http.StatusOK,
		"127.1.2.3:1":           http.StatusOK,
		"[::1]":                 http.StatusOK,
		"[::1]:" + port:         http.StatusOK,
		"evil.example.com":      http.StatusMisdirectedRequest,
		"localhost.example.com": http.StatusMisdirectedRequest,
		"127.0.0.1.nip.io":      http.StatusMisdirectedRequest,
		"128.0.0.1":             http.StatusMisdirectedRequest,
		"[::2]:80":              http.StatusMisdirectedRequest,
		"0.0.0.0":               http.StatusMisdirectedRequest,
		"notlocalhost":          http.StatusMisdirectedRequest,
		"xn--localhost:" + port: http.StatusMisdirectedRequest,
	} {
		for _, rt := range h.server.Routes() {
			path := strings.NewReplacer("{cluster}", "eu-prod-01", "{set}", "platform-components", "{kind}", "PlatformComponent",
				"{name}", "keda", "{id}", h.liveID()).Replace(rt.Path)
			reply := h.do(rt.Method, path, "Host", host, "Last-Event-ID", "none") // so that the answer ends
			if reply.status != want && (want != http.StatusOK || reply.status == http.StatusMisdirectedRequest) {
				t.Errorf("Host %s: %s = %d, want %d", host, path, reply.status, want)
			}
			if want != http.StatusOK {
				reply.problem(t, want, "misdirected")
			}
		}
	}
}

func TestWithTokensAnyHostIsAnswered(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	if got := h.get(kedaPath, append(bearer(clusterToken), "Host", "tributary.example.com")...); got.status != http.StatusOK {
		t.Errorf("= %d, want 200", got.status)
	}
}

func TestAllowAnonymousAdmitsEverybody(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) { c.AllowAnonymous = true })
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, path := range []string{kedaPath, "/api/v1/clusters"} {
		if got := h.get(path, "Host", "tributary.example.com"); got.status != http.StatusOK {
			t.Errorf("%s = %d, want 200", path, got.status)
		}
	}
	if len(h.logs.lines(t, "everybody who reaches the server is admin, because it has no tokens")) != 1 {
		t.Error("the log does not warn")
	}
}

func TestCheckAddressAdmitsAnonymousServersOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	file := tokensFile(t)
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080} }
	for _, c := range []struct {
		addr net.Addr
		open bool // allowed without tokens
	}{
		{tcp("127.0.0.1"), true}, {tcp("127.9.9.9"), true}, {tcp("::1"), true}, {tcp("::ffff:127.0.0.1"), true},
		{tcp("0.0.0.0"), false}, {tcp("::"), false}, {tcp("10.0.0.1"), false}, {tcp("192.168.1.1"), false}, {tcp("fe80::1"), false},
		{&net.TCPAddr{Port: 8080}, false}, {&net.UnixAddr{Name: "/run/tributary", Net: "unix"}, false},
	} {
		for _, cfg := range []server.Config{{}, {TokensFile: file}, {AllowAnonymous: true}} {
			want := c.open || cfg.TokensFile != "" || cfg.AllowAnonymous
			err := newServer(t, cfg).CheckAddress(c.addr)
			if (err == nil) != want {
				t.Errorf("%v, tokens %q, anonymous %v: %v, want admitted = %v", c.addr, cfg.TokensFile, cfg.AllowAnonymous, err, want)
			}
			if err != nil && !strings.Contains(err.Error(), "--insecure-allow-anonymous") {
				t.Errorf("%v: %v does not say what to do", c.addr, err)
			}
		}
	}
}

// Serve checks the address itself, whatever the command has done.
func TestServeRefusesAPublicAddressWithoutTokens(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // on a good address Serve would now end at once, without an error
	if err := newServer(t, server.Config{}).Serve(ctx, ln); err == nil {
		t.Error("Serve on 0.0.0.0 without tokens = nil, want an error")
	}
}

func TestContradictoryConfigIsRefused(t *testing.T) {
	t.Parallel()
	for _, cfg := range []server.Config{
		{TokensFile: tokensFile(t), AllowAnonymous: true},
		{TLSCertFile: "x"},
		{TLSKeyFile: "x"},
		{TokensFile: "/does/not/exist"},
		{ClientCAFile: "x"},
		{ClientCAFile: "x", AllowAnonymous: true},
		{OIDCIssuer: "https://issuer.example.com", OIDCAudience: "tributary"},
		{OIDCAudience: "tributary"},
		{OIDCRulesFile: "/does/not/exist"},
		{OIDCCAFile: "/does/not/exist"},
		{OIDCIssuer: "https://issuer.example.com", OIDCAudience: "tributary", OIDCRulesFile: "/does/not/exist"},
		{OIDCIssuer: "https://issuer.example.com", OIDCAudience: "tributary", OIDCRulesFile: "x", AllowAnonymous: true},
		{TLSCertFile: "/does/not/exist", TLSKeyFile: "/does/not/exist"},
	} {
		cfg.Fleet = controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}})
		if _, err := server.New(cfg); err == nil {
			t.Errorf("New(%+v) = nil, want an error", cfg)
		}
	}
}

func newServer(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	cfg.Fleet = controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}})
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
