package server

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Refusal is a problem that a server answered with. errors.Is finds in it what
// the server found, as if it had been asked without a wire between.
type Refusal struct {
	Problem
	// RetryAfter is how long the server wants to be left alone; 0 where it says nothing.
	RetryAfter time.Duration
}

// Error is what the server says: where it names things that are wrong with a
// document, one a line.
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

// Unwrap reads the table of problems from right to left. What the guard refuses is a
// *fleet.GuardError again.
func (r *Refusal) Unwrap() error {
	if r.Impact != nil {
		return &fleet.GuardError{Impact: r.Impact, Violations: r.Violations}
	}
	name := strings.TrimPrefix(r.Type, ProblemType)
	for _, row := range problems {
		if row.name == name {
			return row.err
		}
	}
	return nil
}

func (c *Client) refusal(answer *http.Response, body []byte) error {
	var p Problem
	wait := retryAfter(answer.Header.Get("Retry-After"), time.Now())
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind == "application/problem+json" && json.Unmarshal(body, &p) == nil && strings.HasPrefix(p.Type, ProblemType) {
		return &Refusal{p, wait}
	}
	if to := answer.Header.Get("Location"); to != "" {
		return fmt.Errorf("server %s: is elsewhere, it says: %q", c.base, to)
	}
	err := fmt.Errorf("server %s: answers %q, as no Tributary does; look at the URL and at what stands between", c.base, answer.Status)
	return &unansweredError{err, answer.StatusCode, wait}
}
