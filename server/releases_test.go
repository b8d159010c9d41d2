package server_test

import (
	"net/http"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestDecisionsAreReadStrictly(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	const approve = "/api/v1/releases/none/approve"
	for name, c := range map[string]struct {
		path, kind, body string
		status           int
		problem          string
	}{
		"no body":         {approve, "", ``, 404, "not-found"},
		"empty body":      {approve, jsonDoc, `{}`, 404, "not-found"},
		"reason":          {approve, jsonDoc, `{"reason": "planned", "digest": "` + someDigest + `"}`, 404, "not-found"},
		"digest of none":  {approve, jsonDoc, `{"digest": "yes"}`, 422, "invalid"},
		"reason with BEL": {approve, jsonDoc, `{"reason": "a\u0007"}`, 400, "bad-request"},
		"unknown field":   {approve, jsonDoc, `{"confirm": "x"}`, 400, "bad-request"},
		"another type":    {approve, "text/plain", `{}`, 415, "media-type"},
		"dry run":         {approve + "?dryRun=true", jsonDoc, `{}`, 400, "bad-request"},
		"confirm":         {approve + "?confirm=" + someDigest, jsonDoc, `{}`, 400, "bad-request"},
		"unknown verdict": {"/api/v1/releases/none/bless", jsonDoc, `{}`, 404, "not-found"},
	} {
		t.Run(name, func(t *testing.T) {
			h.change("POST", c.path, c.kind, c.body).problem(t, c.status, c.problem)
		})
	}
	h.change("POST", approve, jsonDoc, `{"reason": "a"}`, "Tributary-Reason", "b").problem(t, 400, "bad-request")
	h.do(http.MethodGet, approve).problem(t, 405, "method-not-allowed")
	h.get("/api/v1/releases?state=dead").problem(t, 400, "bad-request")
	h.get("/api/v1/releases?limit=0").problem(t, 400, "bad-request")
	h.get("/api/v1/releases?cursor=x").problem(t, 400, "bad-request")
}

// A release is found by its revision as the API shows it, slashes included.
func TestReleaseIsFoundByARevisionWithASlash(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("feature/new@sha1:1234", acme("feature/new@sha1:1234"))
	for _, name := range []string{"feature%2Fnew@sha1:1234", "feature%2fnew%40sha1%3a1234", h.liveID()} {
		var got fleet.Release
		h.get("/api/v1/releases/"+name).wantOK(t, &got)
		if got.ID != h.liveID() || got.Revision != "feature/new@sha1:1234" {
			t.Errorf("GET of %s = %+v", name, got)
		}
	}
	h.get("/api/v1/releases/feature/new@sha1:1234").problem(t, 404, "not-found")
}

func TestPinsAreReadStrictly(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	const path = "/api/v1/pins/calm"
	h.change("PUT", path, jsonDoc, `{"release": "x", "selector": {}, "more": 1}`).problem(t, 400, "bad-request")
	h.change("PUT", path, jsonDoc, `{"name": "other", "release": "x", "selector": {}}`).problem(t, 422, "invalid")
	h.change("PUT", path, yamlDoc, `release: x`).problem(t, 415, "media-type")
	h.change("PUT", path, jsonDoc, `{"release": "x", "selector": {}, "reason": "a\u0000"}`).problem(t, 400, "bad-request")
	h.get(path).problem(t, 404, "not-found")
	var all struct{ Items []any }
	h.get("/api/v1/pins").wantOK(t, &all)
	if len(all.Items) != 0 || all.Items == nil {
		t.Errorf("pins = %v, want an empty list", all.Items)
	}
}
