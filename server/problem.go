package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
)

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
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(limit.RetryAfter(err)))
		if errors.Is(err, auth.ErrTooManyFailures) {
			h.Set("Connection", "close") // a new connection costs an attacker more than the server
		}
	case http.StatusInternalServerError:
		s.log.Error("request failed", "method", r.Method, "path", loggable(r.URL.Path), "request_id", requestID(r.Context()), "err", err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // a Problem always encodes
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // the problem may be gone the next second
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that went away needs no answer
	return p.Status
}
