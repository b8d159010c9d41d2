package server_test

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/server"
)

// rare allows a credential a single poll of a cluster.
func rare(c *server.Config) { c.Limits.PollRate = 0.001 }

func TestOneNoisyCredentialSlowsDownNobodyElse(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t), rare)
	h.release("main@sha1:1", acme("main@sha1:1"))
	poll := func(cluster, token string) reply {
		return h.get("/api/v1/flux/clusters/"+cluster+"/platform-components", bearer(token)...)
	}
	good := func(cluster, token string) {
		t.Helper()
		if got := poll(cluster, token); got.status != http.StatusOK {
			t.Errorf("%s with %s = %d %s, want 200", cluster, token, got.status, got.body)
		}
	}
	good("eu-prod-01", clusterToken)
	for range 5 {
		noisy := poll("eu-prod-01", clusterToken)
		noisy.problem(t, http.StatusTooManyRequests, "too-many-requests")
		if noisy.header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	good("eu-prod-01", viewerToken) // the same cluster with another credential
	good("eu-dev-01", viewerToken)  // another cluster with the same credential
	poll("eu-prod-01.k8s.example.com", viewerToken).problem(t, http.StatusTooManyRequests, "too-many-requests")
	if got := h.metric(`tributary_polls_shed_total{reason="rate"}`); got != "6" {
		t.Errorf("polls that were shed for their rate = %s, want 6", got)
	}
}

func TestRetryAfterOfARateIsEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &guesser{t: t, server: newServer(t, server.Config{TokensFile: tokensFile(t), Limits: server.Limits{RequestRate: 5}})}
		send := func(token string) *http.Response {
			answer, _ := g.send(t.Context(), releases, "192.0.2.1:1", token)
			return answer
		}
		var refused *http.Response
		for n := 0; refused == nil && n < 1_000; n++ {
			if answer := send(viewerToken); answer.StatusCode != http.StatusOK {
				refused = answer
			}
		}
		if refused == nil || refused.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("%v, want 429", refused)
		}
		if other := send(operatorToken); other.StatusCode != http.StatusOK {
			t.Errorf("another credential = %d, want 200", other.StatusCode)
		}
		wait, err := strconv.Atoi(refused.Header.Get("Retry-After"))
		if err != nil || wait < 1 || wait > 10 {
			t.Fatalf("Retry-After %q, want a few seconds", refused.Header.Get("Retry-After"))
		}
		time.Sleep(time.Duration(wait) * time.Second)
		if again := send(viewerToken); again.StatusCode != http.StatusOK {
			t.Errorf("after %d s = %d, want 200", wait, again.StatusCode)
		}
	})
}

func TestProbesAndScrapesHaveNoRate(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t), func(c *server.Config) { c.Limits.RequestRate = 0.001 })
	h.release("main@sha1:1", acme("main@sha1:1"))
	h.get(releases, bearer(viewerToken)...)
	h.get(releases, bearer(viewerToken)...).problem(t, http.StatusTooManyRequests, "too-many-requests")
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/metrics", kedaPath} {
		if got := h.get(path, bearer(viewerToken)...); got.status != http.StatusOK {
			t.Errorf("%s = %d, want 200", path, got.status)
		}
	}
}
