package oci

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// clientTransport adds what oras-go does not support: errors for a registry
// that asks clients to slow down, with the time to wait, a time limit for an
// answer that stalls, and tokens for a registry that does not ask for them.
type clientTransport struct {
	next http.RoundTripper
	// token, if any, is sent to host without being asked for.
	host, token string
	// stallTimeout is how long an answer may pause.
	stall time.Duration
}

func (t clientTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	request = request.Clone(ctx)
	if t.token != "" && request.URL.Host == t.host && request.Header.Get("Authorization") == "" {
		request.Header.Set("Authorization", "Bearer "+t.token)
	}
	response, err := t.next.RoundTrip(request)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if err := throttled(response, time.Now()); err != nil {
		_ = response.Body.Close() // The rest of the answer does not matter.
		cancel(nil)
		return nil, err
	}
	response.Body = transport.NewStallReader(ctx, response.Body, cancel, t.stall)
	return response, nil
}

// throttled returns an error if the registry asks clients to slow down.
func throttled(response *http.Response, now time.Time) error {
	after := transport.RetryAfter(response.Header.Get("Retry-After"), now)
	switch {
	case response.StatusCode == http.StatusTooManyRequests:
		return &fleet.RetryError{Err: errors.New("it answered 429 Too Many Requests: poll less often, or use credentials"), After: after}
	case response.StatusCode == http.StatusServiceUnavailable && after > 0:
		return &fleet.RetryError{Err: errors.New("it answered 503 Service Unavailable"), After: after}
	}
	return nil
}
