package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// Refusal is a problem that a server answered with. errors.Is finds in it the error
// that the server reported, as if there were no wire between.
type Refusal struct {
	api.Problem
	// RetryAfter is how long the server asks the client to wait; 0 where it does not.
	RetryAfter time.Duration
}

// Error returns the problem's detail, or its errors, one a line.
func (r *Refusal) Error() string {
	if len(r.Errors) == 0 {
		return r.Detail
	}
	lines := make([]string, len(r.Errors))
	for i, e := range r.Errors {
		lines[i] = e.Message
		if e.Path != "" {
			lines[i] = e.Path + ": " + e.Message
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the error of the table that the problem stands for.
func (r *Refusal) Unwrap() error { return r.Err() }

// unansweredError is for a request that no Tributary server answered.
type unansweredError struct {
	err    error
	status int // of a proxy or another server; 0 where nothing answered
	wait   time.Duration
}

func (e *unansweredError) Error() string { return e.err.Error() }
func (e *unansweredError) Unwrap() error { return e.err }

// Retryable reports whether a request that returned err may succeed later, and how long
// the server asks to wait before the next attempt.
func Retryable(err error) (wait time.Duration, retryable bool) {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.RetryAfter, isTemporary(refusal.Status)
	}
	var unanswered *unansweredError
	if errors.As(err, &unanswered) {
		return unanswered.wait, unanswered.status == 0 || isTemporary(unanswered.status)
	}
	return 0, false
}

func isTemporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// refusal returns the error that an answer reports.
func (c *Client) refusal(answer *http.Response, body []byte) error {
	var p api.Problem
	wait := retryAfter(answer.Header.Get("Retry-After"), time.Now())
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind == "application/problem+json" && json.Unmarshal(body, &p) == nil && strings.HasPrefix(p.Type, api.ProblemType) {
		return &Refusal{p, wait}
	}
	if to := answer.Header.Get("Location"); to != "" {
		return fmt.Errorf("server %s: redirects to %q; use that address", c.base, to)
	}
	err := fmt.Errorf("server %s: answers %q, which is not a Tributary server's answer; check the URL and the proxies on the way", c.base, answer.Status)
	return &unansweredError{err, answer.StatusCode, wait}
}

// retryAfter parses a Retry-After header, in either of its forms.
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
