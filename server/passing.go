package server

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// unansweredError is for a request that no Tributary answered.
type unansweredError struct {
	err    error
	status int // of what stands between; 0 where nothing answered
	wait   time.Duration
}

func (e *unansweredError) Error() string { return e.err.Error() }
func (e *unansweredError) Unwrap() error { return e.err }

// Passing tells whether an error of a Client may pass by itself, so that it makes
// sense to ask again, and how long whoever answered wants it to wait until then.
func Passing(err error) (wait time.Duration, passing bool) {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.RetryAfter, passes(refusal.Status)
	}
	var unanswered *unansweredError
	if errors.As(err, &unanswered) {
		return unanswered.wait, unanswered.status == 0 || passes(unanswered.status)
	}
	return 0, false
}

func passes(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter reads a Retry-After, in either of its forms.
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
