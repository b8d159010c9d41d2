package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/server/api"
)

const rootToken = "root-4f1b2c3d4e5f60718293"

func withAdminToken(t *testing.T) func(*server.Config) {
	t.Helper()
	file := writeFile(t, "admin-token", rootToken+"\n")
	return func(c *server.Config) { c.AdminTokenFile = file }
}

// asToken sends a request with a token, and with JSON as its body unless that is empty.
func (h *harness) asToken(token, method, path, body string, headers ...string) reply {
	h.t.Helper()
	kind := ""
	if body != "" {
		kind = "application/json"
	}
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	return h.change(method, path, kind, body, append(bearer(token), headers...)...)
}

// wantCreated checks that the reply is a 201, and decodes it.
func (r reply) wantCreated(t *testing.T) api.CreatedToken {
	t.Helper()
	var made api.CreatedToken
	if err := json.Unmarshal(r.body, &made); err != nil || r.status != http.StatusCreated {
		t.Fatalf("status %d: %s, want 201", r.status, r.body)
	}
	return made
}

func (h *harness) newToken(request string) api.CreatedToken {
	h.t.Helper()
	return h.asToken(rootToken, http.MethodPost, "/api/v1/tokens", request).wantCreated(h.t)
}

func (h *harness) register(token, request string, headers ...string) reply {
	h.t.Helper()
	return h.asToken(token, http.MethodPost, "/api/v1/register", request, headers...)
}

func (h *harness) wantStatus(what string, got reply, want int) {
	h.t.Helper()
	if got.status != want {
		h.t.Errorf("%s = %d %s, want %d", what, got.status, got.body, want)
	}
}

// A cluster registers, polls, is decommissioned and purged.
func TestClusterLifecycle(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t))
	boot := h.newToken(`{"name":"boot","role":"bootstrap","labels":{"environment":"dev"},"uses":1,"ttl":"1h"}`)
	own := h.register(boot.Secret, `{"name":"new","dns":"new.example.com","labels":{"tier":"gold"}}`).wantCreated(t).Secret

	poll := func(cluster, set string) reply {
		return h.get("/api/v1/flux/clusters/"+cluster+"/"+set, append(bearer(own), "User-Agent", "flux-operator/v0.58.1")...)
	}
	h.wantStatus("its poll", poll("new", "apps"), http.StatusOK)
	h.wantStatus("its poll by dns", poll("new.example.com", "namespaces"), http.StatusOK)
	h.wantStatus("another's poll", poll("one", "apps"), http.StatusForbidden)
	h.wantStatus("its history", h.get("/api/v1/history?cluster=new", bearer(own)...), http.StatusForbidden)
	h.wantStatus("registering with what is used up", h.register(boot.Secret, `{"name":"more"}`), http.StatusForbidden)

	h.asToken(rootToken, http.MethodPatch, "/api/v1/clusters/new", `{"labels":{"tier":"silver"}}`).wantKept(t)
	if got := poll("new", "apps"); !strings.Contains(string(got.body), `"tier":"silver"`) {
		t.Errorf("after relabelling it is answered %s", got.body)
	}
	for _, query := range []string{"", "?confirm=one", "?confirm=new.example.com"} {
		detail := h.asToken(rootToken, http.MethodDelete, "/api/v1/clusters/new.example.com"+query, "").problem(t, http.StatusBadRequest, "bad-request")
		if !strings.Contains(detail, "?confirm=new") {
			t.Errorf("decommissioning with %q: %s", query, detail)
		}
	}
	var would fleet.Result
	h.asToken(rootToken, http.MethodDelete, "/api/v1/clusters/new?dryRun=true", "").wantOK(t, &would)
	if !would.DryRun || len(would.Changes) != 2 {
		t.Errorf("decommissioning would be %+v, want two inputs removed", would)
	}
	before := poll("new", "apps")
	h.asToken(rootToken, http.MethodDelete, "/api/v1/clusters/new?confirm=new", "").wantKept(t)
	if back := h.asToken(rootToken, http.MethodPost, "/api/v1/clusters/new/recommission", "").wantKept(t); len(back.Changes) != 2 {
		t.Errorf("recommissioning changes %+v, want two inputs added", back.Changes)
	}
	if got := poll("new", "apps"); string(got.body) != string(before.body) {
		t.Errorf("a recommissioned cluster is answered %s, want %s as before", got.body, before.body)
	}
	h.asToken(rootToken, http.MethodPost, "/api/v1/clusters/new/recommission", "").problem(t, http.StatusConflict, "conflict")
	gone := h.asToken(rootToken, http.MethodDelete, "/api/v1/clusters/new?confirm=new", "").wantKept(t)
	if len(gone.Changes) != 2 {
		t.Errorf("decommissioning changes %+v, want two inputs removed", gone.Changes)
	}
	for _, set := range []string{"apps", "namespaces"} {
		if got := poll("new", set); got.status != http.StatusOK || string(got.body) != `{"inputs":[]}` {
			t.Errorf("a decommissioned cluster is answered %d %s", got.status, got.body)
		}
	}
	var c api.Cluster
	h.get("/api/v1/clusters/new", bearer(rootToken)...).wantOK(t, &c)
	if c.State != fleet.ClusterDecommissioned || c.Decommissioned.Generation != gone.Generation || len(c.Polls) != 2 || c.Polls[0].Generation < gone.Generation {
		t.Errorf("it is shown as %+v", c)
	}
	h.wantStatus("a management cluster", h.get("/api/v1/flux/clusters?selector=tier", bearer(rootToken)...), http.StatusNotFound)

	if got := h.asToken(rootToken, http.MethodDelete, "/api/v1/clusters/new?purge=true", "").wantKept(t); len(got.Warnings) != 0 {
		t.Errorf("a purge after its polls warns of %q", got.Warnings)
	}
	h.wantStatus("a poll after the purge", poll("new", "apps"), http.StatusUnauthorized)
	h.wantStatus("the cluster after the purge", h.get("/api/v1/clusters/new", bearer(rootToken)...), http.StatusNotFound)
}

func TestRegistrationMayBeRepeatedAndRotated(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t))
	boot := h.newToken(`{"name":"boot","role":"bootstrap"}`).Secret
	key := []string{api.IdempotencyKey, "2b1a7e7c-3f5d-4d0f-8c66-1f0c5a1d2e3f"}
	first := h.register(boot, `{"name":"new"}`, key...).wantCreated(t).Secret
	if again := h.register(boot, `{"name":"new"}`, key...).wantCreated(t).Secret; again != first {
		t.Error("the same request has another answer")
	}
	h.register(boot, `{"name":"new"}`).problem(t, http.StatusConflict, "conflict")
	h.register(boot, `{"name":"another"}`, key...).problem(t, http.StatusConflict, "conflict")
	h.register(boot, `{"name":"new"}`, api.IdempotencyKey, "short").problem(t, http.StatusBadRequest, "bad-request")
	second := h.register(first, `{"name":"new"}`, key...).wantCreated(t).Secret
	if second == first {
		t.Error("the token is not rotated")
	}
	poll := func(token string) reply { return h.get("/api/v1/flux/clusters/new/apps", bearer(token)...) }
	h.wantStatus("a poll with the old token", poll(first), http.StatusUnauthorized)
	h.wantStatus("a poll with the new one", poll(second), http.StatusOK)
	h.register(first, `{"name":"new","dns":"new.example.com"}`, key...).problem(t, http.StatusConflict, "conflict")
	if again := h.register(first, `{"name":"new"}`, key...).wantCreated(t).Secret; again != second {
		t.Error("the rotation, repeated, has another answer")
	}
	h.register(first, `{"name":"new"}`).problem(t, http.StatusUnauthorized, "unauthenticated")
	h.register(second, `{"name":"other"}`).problem(t, http.StatusForbidden, "forbidden")
}

func TestTokensAreShownOnceAndRevoked(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t))
	made := h.newToken(`{"name":"grace","role":"operator","selector":{"matchLabels":{"environment":"dev"}}}`)
	h.wantStatus("what it may", h.get("/api/v1/clusters", bearer(made.Secret)...), http.StatusOK)
	var list api.List[api.Token]
	h.get("/api/v1/tokens", bearer(rootToken)...).wantOK(t, &list)
	if len(list.Items) != 1 || list.Items[0].LastUsedAt == nil || list.Items[0].CreatedBy != "admin" {
		t.Errorf("the tokens are %+v", list.Items)
	}
	h.asToken(rootToken, http.MethodPost, "/api/v1/tokens", `{"name":"grace","role":"viewer"}`).problem(t, http.StatusConflict, "conflict")
	patch := func(cluster string) reply {
		return h.asToken(made.Secret, http.MethodPatch, "/api/v1/clusters/"+cluster+"/objects/App/web", `{"spec":{"tag":"v2"}}`)
	}
	h.wantStatus("a patch within its selector", patch("one"), http.StatusOK)
	patch("two").problem(t, http.StatusForbidden, "forbidden")
	h.asToken(rootToken, http.MethodDelete, "/api/v1/tokens/grace", "").wantKept(t)
	h.wantStatus("a revoked token", patch("one"), http.StatusUnauthorized)
	h.asToken(rootToken, http.MethodDelete, "/api/v1/tokens/grace", "").problem(t, http.StatusNotFound, "not-found")
	h.asToken(rootToken, http.MethodDelete, "/api/v1/tokens/"+made.ID, "").wantKept(t) // not as a name
	h.get("/api/v1/tokens?all=true", bearer(rootToken)...).wantOK(t, &list)
	if len(list.Items) != 1 || list.Items[0].RevokedAt == nil {
		t.Errorf("the tokens are %+v", list.Items)
	}
	for _, wrong := range []string{
		`{"name":"a/b","role":"viewer"}`, `{"name":"x","role":"root"}`, `{"name":"x","role":"cluster"}`,
		`{"name":"x","role":"viewer","cluster":"one"}`, `{"name":"x","role":"viewer","uses":1}`, `{"name":"x","role":"viewer","selector":{}}`,
		`{"name":"x","role":"bootstrap","uses":-1}`, `{"name":"x","role":"viewer","ttl":"soon"}`, `{"name":"x","role":"viewer","ttl":"-1h"}`,
		`{"name":"x","role":"operator","selector":{"matchExpressions":[{"key":"a","operator":"Is"}]}}`,
	} {
		h.asToken(rootToken, http.MethodPost, "/api/v1/tokens", wrong).problem(t, http.StatusUnprocessableEntity, "invalid")
	}
}

func TestExpiredTokenIsRefused(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t))
	made := h.newToken(`{"name":"brief","role":"viewer","ttl":"1h"}`)
	h.wantStatus("in time", h.get("/api/v1/clusters", bearer(made.Secret)...), http.StatusOK)
	h.clock.advance(2 * time.Hour)
	h.wantStatus("an hour late", h.get("/api/v1/clusters", bearer(made.Secret)...), http.StatusUnauthorized)
}

// While everybody is admin, a token still identifies its owner. The first token for a
// person ends anonymous access for good.
func TestFirstTokenForPeopleEndsAnonymousAccess(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	own := h.change(http.MethodPost, "/api/v1/register", "application/json", `{"name":"new"}`).wantCreated(t).Secret
	h.wantStatus("its poll", h.get("/api/v1/flux/clusters/new/apps", bearer(own)...), http.StatusOK)
	h.wantStatus("another's poll", h.get("/api/v1/flux/clusters/one/apps", bearer(own)...), http.StatusForbidden)
	h.wantStatus("nobody", h.get("/api/v1/tokens"), http.StatusOK)
	made := h.change(http.MethodPost, "/api/v1/tokens", "application/json", `{"name":"ada","role":"admin"}`).wantCreated(t)
	h.wantStatus("nobody, once there is a token", h.get("/api/v1/tokens"), http.StatusUnauthorized)
	h.asToken(made.Secret, http.MethodPost, "/api/v1/tokens", `{"name":"boot","role":"bootstrap"}`).wantCreated(t)
	h.wantStatus("nobody, once there is one of no person, too", h.get("/api/v1/tokens"), http.StatusUnauthorized)
	h.asToken(made.Secret, http.MethodDelete, "/api/v1/tokens/ada", "").wantKept(t)
	h.wantStatus("nobody, once it is revoked", h.get("/api/v1/tokens"), http.StatusUnauthorized)
}

func TestIfMatchOfAClusterHolds(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	h.change(http.MethodPost, "/api/v1/clusters", "application/yaml", "name: new\nlabels: {tier: gold}\n").wantCreated(t)
	tag := h.get("/api/v1/clusters/new").header.Get("ETag")
	patch := func(match string) reply {
		return h.change(http.MethodPatch, "/api/v1/clusters/new", "application/merge-patch+json", `{"labels":{"tier":"silver"}}`, "If-Match", match)
	}
	patch(`"other"`).problem(t, http.StatusPreconditionFailed, "stale")
	patch(tag).wantKept(t)
	h.change(http.MethodDelete, "/api/v1/clusters/new?confirm=new", "", "", "If-Match", tag).problem(t, http.StatusPreconditionFailed, "stale")
}

func TestPollsByHandAreNotPollsOfTheCluster(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t))
	cluster := func() (c api.Cluster) {
		h.get("/api/v1/clusters/one", bearer(rootToken)...).wantOK(t, &c)
		return c
	}
	own := h.newToken(`{"name":"one","role":"cluster","cluster":"one"}`).Secret
	for name, secret := range map[string]string{"one": own, "admin": rootToken} {
		h.get("/api/v1/flux/clusters/one/apps", append(bearer(secret), "User-Agent", "curl/8.0")...)
		if c := cluster(); c.Polls != nil || c.Contact != api.ContactNever || len(c.PollsByHand) != 1 || c.PollsByHand[0].By != name || c.PollsByHand[0].Every != "" {
			t.Errorf("a poll by hand of %s counts as %s, %+v, by hand %+v", name, c.Contact, c.Polls, c.PollsByHand)
		}
	}
	h.get("/api/v1/flux/clusters/one/apps", append(bearer(rootToken), "User-Agent", "flux-operator/v0.58.1")...)
	if got := cluster().Polls; len(got) != 1 || got[0].Agent != "flux-operator/v0.58.1" || got[0].By != "" || time.Since(got[0].At) > time.Minute {
		t.Errorf("a poll of the operator counts as %+v", got)
	}
}

func TestRegistrationsAreBounded(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t))
	boot := h.newToken(`{"name":"boot","role":"bootstrap"}`).Secret
	var mu sync.Mutex
	seen := map[int]int{}
	var all sync.WaitGroup
	start := time.Now()
	for worker := range 8 {
		all.Go(func() {
			for n := range 500 {
				// Without a connection, which would take most of the time. The name is invalid.
				r := httptest.NewRequest(http.MethodPost, "http://localhost/api/v1/register", strings.NewReader(fmt.Sprintf(`{"name":"%d-%d.x"}`, worker, n)))
				r.Header.Set("Authorization", "Bearer "+boot)
				r.Header.Set("Content-Type", "application/json")
				got := httptest.NewRecorder()
				h.server.ServeHTTP(got, r)
				mu.Lock()
				seen[got.Code]++
				mu.Unlock()
				if got.Code == http.StatusTooManyRequests && got.Header().Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
			}
		})
	}
	all.Wait()
	most := 2500 + 100*int(time.Since(start).Seconds()+1) // on a slow machine that may be all
	if heard := seen[http.StatusUnprocessableEntity]; heard < 2500 || heard > most {
		t.Errorf("the answers were %v, want 2,500 to be heard and at most %d", seen, most)
	}
}

// A token that has ended is known. Only an unknown token counts as a guess.
func TestEndedTokenIsRefusedWithoutDelay(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t), func(c *server.Config) { c.Limits.FailureDelay = time.Hour })
	made := h.newToken(`{"name":"grace","role":"viewer"}`)
	h.asToken(rootToken, http.MethodDelete, "/api/v1/tokens/grace", "").wantKept(t)
	h.client.Timeout = time.Minute // a delayed answer would take an hour
	for range 20 {
		h.get("/api/v1/clusters", bearer(made.Secret)...).problem(t, http.StatusUnauthorized, "unauthenticated")
	}
	if got := h.metricAs(rootToken, `tributary_authentication_failures_total{kind="ended"}`); got != "20" {
		t.Errorf("%s ended tokens were counted, want 20", got)
	}
}

func TestPurgeOfAClusterThatHasNotPolledItsEmptySetsWarns(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	own := h.change(http.MethodPost, "/api/v1/register", "application/json", `{"name":"new"}`).wantCreated(t).Secret
	h.wantStatus("its poll", h.get("/api/v1/flux/clusters/new/apps", append(bearer(own), "User-Agent", "flux-operator/v0.58.1")...), http.StatusOK)
	h.change(http.MethodDelete, "/api/v1/clusters/new?confirm=new", "", "").wantKept(t)
	for _, dry := range []string{"&dryRun=true", ""} {
		got := h.change(http.MethodDelete, "/api/v1/clusters/new?purge=true"+dry, "", "").wantKept(t)
		if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], `"apps"`) {
			t.Errorf("the purge warns of %q", got.Warnings)
		}
	}
}

func TestDeclaredClusterIsShownCompletely(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	h.change(http.MethodPost, "/api/v1/clusters", "application/yaml", `name: new
resources: [{apiVersion: example.com/v1, kind: App, metadata: {name: mine}, spec: {tag: v1}}]
patches: [{target: {kind: App, name: web}, patch: '[{"op": "replace", "path": "/spec/tag", "value": "v9"}]'}]
`).wantCreated(t)
	var c api.Cluster
	h.get("/api/v1/clusters/new").wantOK(t, &c)
	if c.DeclaredBy != "api" || len(c.Resources) != 1 || len(c.Patches) != 1 {
		t.Errorf("it is shown as %+v", c)
	}
}
