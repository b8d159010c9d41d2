package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func TestRetryableErrors(t *testing.T) {
	t.Parallel()
	const problem, page = "application/problem+json", "text/html"
	for name, c := range map[string]struct {
		status  int
		kind    string
		after   string
		wait    time.Duration
		passing bool
	}{
		"too many":          {http.StatusTooManyRequests, problem, "7", 7 * time.Second, true},
		"not ready":         {http.StatusServiceUnavailable, problem, "10", 10 * time.Second, true},
		"a proxy is alone":  {http.StatusBadGateway, page, "", 0, true},
		"a proxy waits":     {http.StatusGatewayTimeout, page, "3", 3 * time.Second, true},
		"a proxy is closed": {http.StatusServiceUnavailable, page, "soon", 0, true},
		"a proxy forbids":   {http.StatusForbidden, page, "", 0, false},
		"conflict":          {http.StatusConflict, problem, "", 0, false},
		"unauthenticated":   {http.StatusUnauthorized, problem, "", 0, false},
		"no room":           {http.StatusInsufficientStorage, problem, "", 0, false},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.status)
			_, _ = w.Write(fmt.Appendf(nil, `{"type": "urn:tributary:problem:x", "status": %d}`, c.status))
		}))
		_, err := newClient(t, s.URL, "").Cluster(t.Context(), "one")
		s.Close()
		if wait, passing := client.Retryable(err); wait != c.wait || passing != c.passing {
			t.Errorf("%s: Retryable(%v) = %v, %v, want %v, %v", name, err, wait, passing, c.wait, c.passing)
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err := newClient(t, gone.URL, "").Cluster(t.Context(), "one")
	if _, passing := client.Retryable(err); !passing {
		t.Errorf("Retryable(%v) = false, want true: nobody has answered", err)
	}
	if _, passing := client.Retryable(nil); passing {
		t.Error("Retryable(nil) = true")
	}
}

// The idempotency key marks a repeated registration, which is answered 201 as well.
func TestRegisterSendsItsKey(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/register" || r.Header.Get("Idempotency-Key") != "one-two-three-four-five" {
			t.Errorf("%s %s with key %q", r.Method, r.URL, r.Header.Get("Idempotency-Key"))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"cluster": "one", "token": "t", "generation": 3}`))
	}))
	defer s.Close()
	got, err := newClient(t, s.URL, "").Register(t.Context(), api.Registration{Name: "one"}, "one-two-three-four-five")
	if want := (api.RegistrationResult{Cluster: "one", Token: "t", Generation: 3}); err != nil || got != want {
		t.Errorf("Register = %+v, %v, want %+v", got, err, want)
	}
}
