package server_test

import (
	"net/http"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestBootstrapHasEverySetAtTheHighestLimitAndTheResourceSets(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.get("/api/v1/bootstrap", bearer(viewerToken)...).problem(t, http.StatusServiceUnavailable, "not-ready")
	content := acme("main@sha1:1")
	content.InputSets = []string{"platform-components", "namespaces"}
	for i := range content.Members {
		content.Members[i].Inputs = map[string][]map[string]any{"platform-components": {{"id": "x"}}, "namespaces": {{"id": "x"}}}
	}
	content.Templates = []fleet.Object{{Name: "a", JSON: []byte(`{"kind":"ResourceSet","metadata":{"name":"a"}}`)}}
	h.release("main@sha1:1", content)
	r := h.get("/api/v1/bootstrap", bearer(viewerToken)...)
	want := `{"sets":[{"name":"platform-components","limit":10000},{"name":"namespaces","limit":10000}],` +
		`"resourceSets":[{"kind":"ResourceSet","metadata":{"name":"a"}}]}` + "\n"
	if r.status != http.StatusOK || string(r.body) != want {
		t.Errorf("bootstrap = %d %s\nwant %s", r.status, r.body, want)
	}
	h.get("/api/v1/bootstrap?cluster=x", bearer(viewerToken)...).problem(t, http.StatusBadRequest, "bad-request")
	h.get("/api/v1/bootstrap", bearer(clusterToken)...).problem(t, http.StatusForbidden, "forbidden")
	got, err := newClient(t, h.url, viewerToken).Bootstrap(t.Context())
	if err != nil || len(got.Sets) != 2 || got.Sets[0].Limit != 10000 || len(got.ResourceSets) != 1 {
		t.Errorf("Bootstrap = %+v, %v", got, err)
	}
}

func TestBootstrapOfAFleetWithoutResourceSetsHasAnEmptyList(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	if got, err := newClient(t, h.url, "").Bootstrap(t.Context()); err != nil || got.ResourceSets == nil {
		t.Errorf("Bootstrap = %+v, %v", got, err)
	}
}
