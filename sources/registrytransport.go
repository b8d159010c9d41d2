package sources

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// registryTransport tells what oras-go has no place for: that a registry wants
// to be left alone, and for how long, and that it sends nothing any more.
type registryTransport struct {
	next http.RoundTripper
	// stall is how long an answer may come to a stop.
	stall time.Duration
}

func (t registryTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := t.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if err := throttled(response, time.Now()); err != nil {
		_ = response.Body.Close() // Whatever else it says, we are to go.
		cancel(nil)
		return nil, err
	}
	response.Body = newStallReader(ctx, response.Body, cancel, t.stall)
	return response, nil
}

// throttled is an error where the registry asks to be left alone.
func throttled(response *http.Response, now time.Time) error {
	after := retryAfter(response.Header.Get("Retry-After"), now)
	switch {
	case response.StatusCode == http.StatusTooManyRequests:
		return &fleet.RetryError{Err: errors.New("it answered 429 Too Many Requests: poll less often, or use credentials"), After: after}
	case response.StatusCode == http.StatusServiceUnavailable && after > 0:
		return &fleet.RetryError{Err: errors.New("it answered 503 Service Unavailable"), After: after}
	}
	return nil
}

// retryAfter reads seconds or a date; 0 for neither.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}
