package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// For each route, the roles that may use it. A cluster that polls its own inputs is "own";
// "all" needs no credential.
var who = map[string]string{
	"GET /api/v1/flux/clusters/{cluster}/{set}": "own viewer operator admin",
	"GET /api/v2/flux/clusters/{cluster}/{set}": "own viewer operator admin",
	"GET /api/v1/flux/clusters":                 "viewer operator admin",
	"GET /api/v2/flux/clusters":                 "viewer operator admin",

	"GET /api/v1/clusters":                                    "viewer operator admin",
	"POST /api/v1/clusters":                                   "operator admin",
	"GET /api/v1/clusters/{cluster}":                          "viewer operator admin",
	"PATCH /api/v1/clusters/{cluster}":                        "operator admin",
	"DELETE /api/v1/clusters/{cluster}":                       "admin",
	"POST /api/v1/clusters/{cluster}/recommission":            "admin",
	"POST /api/v1/register":                                   "bootstrap cluster admin",
	"GET /api/v1/clusters/{cluster}/objects":                  "viewer operator admin",
	"GET /api/v1/clusters/{cluster}/objects/{kind}/{name}":    "viewer operator admin",
	"PATCH /api/v1/clusters/{cluster}/objects/{kind}/{name}":  "operator admin",
	"PUT /api/v1/clusters/{cluster}/objects/{kind}/{name}":    "operator admin",
	"DELETE /api/v1/clusters/{cluster}/objects/{kind}/{name}": "operator admin",
	"GET /api/v1/clusters/{cluster}/delta":                    "viewer operator admin",
	"PUT /api/v1/clusters/{cluster}/delta":                    "operator admin",
	"DELETE /api/v1/clusters/{cluster}/delta":                 "operator admin",

	"GET /api/v1/deltas":               "viewer operator admin",
	"GET /api/v1/deltas/{name}":        "viewer operator admin",
	"PUT /api/v1/deltas/{name}":        "operator admin",
	"DELETE /api/v1/deltas/{name}":     "operator admin",
	"GET /api/v1/history":              "viewer operator admin",
	"GET /api/v1/history/{generation}": "viewer operator admin",
	"POST /api/v1/rollback":            "operator admin",
	"GET /api/v1/events":               "viewer operator admin",
	"GET /api/v1/releases":             "viewer operator admin",
	"GET /api/v1/status":               "viewer operator admin",
	"GET /api/v1/releases/{id}":        "viewer operator admin",

	"POST /api/v1/releases/{id}/approve": "admin",
	"POST /api/v1/releases/{id}/reject":  "admin",
	"POST /api/v1/releases/{id}/pause":   "admin",
	"POST /api/v1/releases/{id}/resume":  "admin",
	"POST /api/v1/releases/{id}/skip":    "admin",
	"POST /api/v1/releases/{id}/abort":   "admin",

	"GET /api/v1/pins":           "viewer operator admin",
	"GET /api/v1/pins/{name}":    "viewer operator admin",
	"PUT /api/v1/pins/{name}":    "operator admin",
	"DELETE /api/v1/pins/{name}": "operator admin",
	"GET /api/v1/preview":        "viewer operator admin",
	"POST /api/v1/preview":       "viewer operator admin",

	"GET /api/v1/bootstrap":         "viewer operator admin",
	"GET /api/v1/tokens":            "admin",
	"POST /api/v1/tokens":           "admin",
	"DELETE /api/v1/tokens/{token}": "admin",

	"GET /api/v1/whoami":  "bootstrap cluster viewer operator admin",
	"GET /api/v1/version": "all",

	"GET /healthz":      "all",
	"GET /readyz":       "all",
	"GET /metrics":      "viewer operator admin",
	"GET /openapi.yaml": "all",
	"GET /":             "all",
}

// TestWhoMayDoWhat requests every route with every role.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	tokens := map[string]string{
		"bootstrap": bootstrapToken, "cluster": clusterToken, "viewer": viewerToken, "operator": operatorToken, "admin": adminToken,
	}
	seen := 0
	for _, rt := range h.server.Routes() {
		if rt.Webhook {
			continue // needs a secret instead of a token
		}
		name := rt.Method + " " + rt.Path
		row, there := who[name]
		if !there {
			t.Errorf("%s has no row: say who may", name)
			continue
		}
		seen++
		may, open := strings.Fields(row), row == "all"
		if rt.Open != open {
			t.Errorf("%s is open: %v, want %v", name, rt.Open, open)
		}
		if got := h.do(rt.Method, pathOf(rt.Method, rt.Path)); (got.status == http.StatusUnauthorized) == open {
			t.Errorf("%s without a token = %d, want 401: %v", name, got.status, !open)
		}
		for role, token := range tokens {
			allowed := open || slices.Contains(may, role) || role == "cluster" && slices.Contains(may, "own")
			headers := bearer(token)
			if rt.Path == "/api/v1/events" {
				headers = append(headers, "Last-Event-ID", "none") // so that the answer ends
			}
			got := h.do(rt.Method, pathOf(rt.Method, rt.Path), headers...)
			if got.status == http.StatusUnauthorized || (got.status == http.StatusForbidden) == allowed {
				t.Errorf("%s with a token of the role %s = %d %s; allowed: %v", name, role, got.status, got.body, allowed)
			}
			if allowed && rt.Method == http.MethodGet && got.status != http.StatusOK && !mayBeAbsent(rt.Path) {
				t.Errorf("%s with a token of the role %s = %d, want 200", name, role, got.status)
			}
		}
	}
	if seen != len(who) {
		t.Errorf("%d routes have a row, and there are %d rows", seen, len(who))
	}
}

// pathOf fills in a path. What is read exists, and what is written does not, so that nothing
// changes between two roles.
func pathOf(method, path string) string {
	cluster := "eu-prod-01"
	if method != http.MethodGet {
		cluster = "nobody"
	}
	return strings.NewReplacer("{cluster}", cluster, "{set}", "platform-components", "{kind}", "PlatformComponent",
		"{name}", "keda", "{id}", "x", "{token}", "none", "{generation}", "1").Replace(path)
}

// mayBeAbsent reports whether a small fleet may answer 404 for a path.
func mayBeAbsent(path string) bool {
	return path == "/api/v1/events" || path == "/api/v1/preview" || strings.HasSuffix(path, "/delta") || strings.HasSuffix(path, "{name}") || strings.HasSuffix(path, "{generation}") || strings.HasSuffix(path, "{id}")
}

func TestRefusalsNameTheRoles(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, c := range []struct{ token, method, path, want string }{
		{viewerToken, "PUT", "/api/v1/deltas/x", "has the role viewer, and this needs the role operator"},
		{operatorToken, "GET", "/api/v1/tokens", "has the role operator, and this needs the role admin"},
		{clusterToken, "GET", "/api/v1/clusters", "has the role cluster, which reads the inputs of cluster"},
		{bootstrapToken, "GET", "/api/v1/clusters", "has the role bootstrap, which registers clusters and nothing else; this needs the role viewer"},
		{viewerToken, "POST", "/api/v1/register", "has the role viewer, and a cluster is registered with a token of the role bootstrap or admin"},
	} {
		got := h.do(c.method, c.path, bearer(c.token)...)
		if got.status != http.StatusForbidden || !strings.Contains(string(got.body), c.want) || strings.Contains(string(got.body), "/api/") {
			t.Errorf("%s %s = %d %s, want %q", c.method, c.path, got.status, got.body, c.want)
		}
	}
	for role, token := range map[string]string{"bootstrap": bootstrapToken, "cluster": clusterToken, "viewer": viewerToken, "operator": operatorToken, "admin": adminToken} {
		if got := h.get("/api/v1/whoami", bearer(token)...); !strings.Contains(string(got.body), `"role":"`+role+`"`) {
			t.Errorf("whoami of a token of the role %s = %d %s", role, got.status, got.body)
		}
	}
}
