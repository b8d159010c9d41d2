package server

import (
	"net/http"
	"time"

	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
)

// Route is a line of the table, as tests see it.
type Route struct {
	Method, Path string
	Open         bool // needs no credential
	Poll         bool
	Webhook      bool // needs a webhook secret
}

// Routes returns all routes.
func (s *Server) Routes() []Route {
	var all []Route
	for _, rt := range s.table {
		all = append(all, Route{rt.method, rt.path, rt.role == auth.Anyone, rt.handle == nil, rt.role == auth.Webhook})
	}
	return all
}

// HTTPServer returns what Serve runs.
func (s *Server) HTTPServer() *http.Server { return s.httpServer() }

// OpenAPI is openapi.yaml.
var OpenAPI = openAPI

// Who returns who sent r.
func (s *Server) Who(r *http.Request) (auth.Identity, error) { return s.auth.Authenticate(r) }

// Occupy takes every place for polls, as slow clients do, until leave is called.
func (s *Server) Occupy() (leave func()) {
	var slots []limit.Slot
	for age := 10 * time.Second; ; age += 2 * time.Second {
		slot, err := s.polls.Enter(time.Now().Add(-age))
		for ; err == nil; slot, err = s.polls.Enter(time.Now().Add(-age)) {
			slots = append(slots, slot)
		}
		if limit.Reason(err) == limit.ReasonSlow {
			break
		}
	}
	return func() {
		for _, slot := range slots {
			s.polls.Leave(slot)
		}
	}
}

// Connections returns how many connections are open.
func (s *Server) Connections() int { return s.listener.Load().Open() }
