package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/limit"
)

var errNoRoute = fmt.Errorf("route %w: / and /openapi.yaml list the ones there are", fleet.ErrNotFound)

// problem answers with err and returns the status.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) int {
	p := api.NewProblem(err)
	h := w.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = []string{`Bearer realm="tributary"`, `Basic realm="tributary", charset="UTF-8"`}
	case http.StatusMethodNotAllowed:
		var method *methodError
		if errors.As(err, &method) {
			h.Set("Allow", method.allowed)
		}
	case http.StatusTooManyRequests:
		h.Set("Retry-After", strconv.Itoa(limit.RetryAfter(err)))
		if errors.Is(err, errTooManyFailures) {
			h.Set("Connection", "close") // a new one costs whoever guesses more than it costs the server
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(limit.RetryAfter(err))) // Flux comes back by itself
	case http.StatusInternalServerError:
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "request_id", requestID(r.Context()), "err", err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // a Problem is strings and one number
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // what is wrong now may be mended the next second
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that went away needs no answer
	return p.Status
}

// methodError is an errMethod that knows what would have been allowed.
type methodError struct{ method, allowed string }

func (e *methodError) Error() string {
	return fmt.Sprintf("%s: %s: use %s", e.method, api.ErrMethodNotAllowed, e.allowed)
}

func (e *methodError) Unwrap() error { return api.ErrMethodNotAllowed }
