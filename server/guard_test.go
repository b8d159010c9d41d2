package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

var someDigest = "sha256:" + strings.Repeat("ab", 32)

// An impact that exceeds the guard must arrive complete, since somebody confirms it.
func TestGuardErrorCrossesTheWire(t *testing.T) {
	t.Parallel()
	sent := &fleet.GuardError{
		Impact: &fleet.Impact{Digest: someDigest, Clusters: 2, Removed: 2, Groups: []fleet.ImpactGroup{{
			Clusters: []string{"one", "two"}, Emptied: []string{"apps"},
			Changes: []fleet.InputEffect{{Set: "apps", ID: "web", Effect: fleet.Removed}},
		}}},
		Violations: []fleet.Violation{{Rule: "removedPerCluster", Cluster: "one", Message: "removes 2 of 3 inputs; 50% are allowed"}},
	}
	confirmed := ""
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		confirmed = r.URL.Query().Get("confirm")
		p := api.NewProblem(sent)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p)
	}))
	defer h.Close()
	_, err := newClient(t, h.URL, "").DeleteDelta(t.Context(), client.WriteOptions{Confirm: someDigest}, "delta/pin")
	var got *fleet.GuardError
	if !errors.As(err, &got) || !errors.Is(err, fleet.ErrGuarded) || !reflect.DeepEqual(got, sent) {
		t.Errorf("the client finds %v, want %v", got, sent)
	}
	for _, part := range []string{"?confirm=" + someDigest, "removes 2 of 3"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("it says %v, want %q in it", err, part)
		}
	}
	var refusal *client.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusConflict || refusal.Digest != someDigest {
		t.Errorf("the problem is %+v, want a 409 with the digest", refusal)
	}
	if confirmed != someDigest {
		t.Errorf("confirm is %q", confirmed)
	}
}

func TestConfirmIsADigest(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	for _, confirm := range []string{"confirm", "confirm=", "confirm=yes", "confirm=sha256:12", "confirm=" + someDigest + "&confirm=" + someDigest} {
		h.change("PATCH", oneWeb+"?"+confirm, mergePatch, `{"spec": {"tag": "v2"}}`).problem(t, 400, "bad-request")
	}
	h.change("POST", "/api/v1/tokens?confirm="+someDigest, jsonDoc, `{"role": "viewer"}`).problem(t, 400, "bad-request")
	h.change("PATCH", oneWeb+"?confirm="+someDigest, mergePatch, `{"spec": {"tag": "v2"}}`).wantKept(t)
}
