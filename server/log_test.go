package server_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRequestsAreLoggedAndMeasured(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	reply := h.get("/api/v1/clusters/eu-prod-01?x=secret-in-query", append(bearer(viewerToken), "X-Request-Id", "proxy-42")...)
	var entry map[string]any
	eventually(t, func() bool {
		for _, e := range h.logs.lines(t, "request") {
			entry = e
		}
		return entry != nil
	})
	for key, want := range map[string]any{
		"level": "INFO", "method": "GET", "path": "/api/v1/clusters/eu-prod-01", "status": 400.0, "bytes": float64(len(reply.body)),
		"remote": "127.0.0.1", "identity": "grafana", "request_id": "proxy-42",
	} {
		if entry[key] != want {
			t.Errorf("%s = %v, want %v", key, entry[key], want)
		}
	}
	if _, has := entry["duration"]; !has || reply.header.Get("X-Request-Id") != "proxy-42" {
		t.Errorf("entry %v, header %v", entry, reply.header)
	}
	for _, line := range []string{
		`tributary_http_requests_total{method="GET",route="/api/v1/clusters/{cluster}",status="400"}`,
		`tributary_http_request_duration_seconds_count{method="GET",route="/api/v1/clusters/{cluster}"}`,
	} {
		if got := h.metric(line); got != "1" {
			t.Errorf("%s = %q, want 1", line, got)
		}
	}
	h.do("BREW", "/made/up")
	h.do("BREW", "/made/up/too")
	if got := h.metric(`tributary_http_requests_total{method="",route="",status="404"}`); got != "2" {
		t.Errorf("requests without a route = %q, want 2", got)
	}
	h.do("BREW", "/healthz")
	h.do("DELETE", "/healthz")
	if got := h.metric(`tributary_http_requests_total{method="",route="/healthz",status="405"}`); got != "2" {
		t.Errorf("requests with a method that the route does not take = %q, want 2", got)
	}
}

func TestRequestIDsOfClientsAreKeptOnlyWhereWellFormed(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, id := range []string{"", "a b", strings.Repeat("x", 65), "é", `"`} {
		if got := h.get("/healthz", "X-Request-Id", id).header.Get("X-Request-Id"); got == id || got == "" {
			t.Errorf("X-Request-Id %q = %q", id, got)
		}
	}
}

func TestProbesAreLoggedQuietly(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.get("/healthz")
	eventually(t, func() bool { return len(h.logs.lines(t, "request")) == 1 })
	if got := h.logs.lines(t, "request")[0]["level"]; got != "DEBUG" {
		t.Errorf("level = %v, want DEBUG", got)
	}
}

func TestTokensAreNotLogged(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	secrets := []string{viewerToken, clusterToken, "wrong-6b1f5d", "query-9c2e7a"}
	paths := []string{"/api/v1/clusters?token=query-9c2e7a", kedaPath + "?token=query-9c2e7a", "/nothing?query-9c2e7a", "/healthz?query-9c2e7a"}
	for _, secret := range secrets {
		basic := base64.StdEncoding.EncodeToString([]byte("flux:" + secret))
		secrets = append(secrets, basic)
		for _, path := range paths {
			h.get(path, "Authorization", "Bearer "+secret)
			h.get(path, "Authorization", "Basic "+basic)
			h.get(path, "Authorization", secret)
		}
	}
	conn := h.dial()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nAuthorization: Bearer "+viewerToken+"\r\nAuthorization "+viewerToken+"\r\n\r\n")
	_, _ = io.ReadAll(conn)
	must(t, h.stop())
	log := h.logs.String()
	for _, secret := range secrets {
		if strings.Contains(log, secret) || strings.Contains(log, strings.TrimPrefix(hash(secret), "sha256:")) {
			t.Errorf("%q is in the log", secret)
		}
	}
	if len(h.logs.lines(t, "request")) == 0 {
		t.Error("nothing was logged: the test checks nothing")
	}
}

func TestPanicIsAProblemAndTheServerContinues(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	h.renderer.panics.Store(true)
	reply := h.get("/api/v1/clusters/eu-prod-01/objects")
	reply.problem(t, http.StatusInternalServerError, "internal")
	if strings.Contains(string(reply.body), "told to") {
		t.Errorf("the answer reveals internals: %s", reply.body)
	}
	id := reply.header.Get("X-Request-Id")
	entries := h.logs.lines(t, "panic")
	if len(entries) != 1 || entries[0]["request_id"] != id || !strings.Contains(entries[0]["stack"].(string), "getObjects") {
		t.Errorf("log = %v", entries)
	}
	if got := h.get(kedaPath); got.status != http.StatusOK {
		t.Errorf("a poll afterwards = %d, want 200", got.status)
	}
	if got := h.metric(`tributary_http_requests_total{method="GET",route="/api/v1/clusters/{cluster}/objects",status="500"}`); got != "1" {
		t.Errorf("counted %q times, want 1", got)
	}
}

// Somebody who revokes a token may pass the token itself as its name.
func TestTokenInAPathIsNotLogged(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	const token = "trb_7PDC3FLMCSBK2NSQUNVJIAZ6IR6CND2S7T4PRFHNVQFH5WPPHSPL"
	h.do(http.MethodDelete, "/api/v1/tokens/"+token, append(bearer(adminToken), "X-Request-Id", token)...)
	must(t, h.stop())
	if text := h.logs.String(); strings.Contains(text, token) || !strings.Contains(text, "/api/v1/tokens/trb_…") {
		t.Errorf("the log is %s", text)
	}
}
