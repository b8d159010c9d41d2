package server

import (
	"context"
	"net/http"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/limit"
)

// Route is a line of the table, as tests see it.
type Route struct {
	Method, Path string
	Open         bool // needs no credential
	Poll         bool
	Webhook      bool // needs the webhooks' secret
}

// Routes are all there are.
func (s *Server) Routes() []Route {
	var all []Route
	for _, rt := range s.table {
		all = append(all, Route{rt.method, rt.path, rt.least == roleAnyone, rt.handle == nil, rt.least == roleHook})
	}
	return all
}

// ContactOf is what polls tell of a cluster with those sets.
var ContactOf = contactOf

// HTTPServer is what Serve runs, for tests that look at its bounds.
func (s *Server) HTTPServer() *http.Server { return s.httpServer() }

// OpenAPI is the document.
var OpenAPI = openAPI

// Hurry has the answers to failed attempts held back for no time.
func (s *Server) Hurry() { s.throttle.sleep = func(context.Context, time.Duration) {} }

// Hold has held called for each answer that would be held back, which it is not.
func (s *Server) Hold(held func()) {
	s.throttle.sleep = func(context.Context, time.Duration) { held() }
}

// Identity is an identity, as tests see it.
type Identity struct {
	Name, Cluster string
	Labels        map[string]string
	Scope         *fleet.Selector
}

// Who is who sent r.
func (s *Server) Who(r *http.Request) (Identity, error) {
	who, err := s.authenticate(r, false)
	return Identity{who.name, who.cluster, who.labels, who.scope}, err
}

// Elapse has it be later by d to the issuer's keys and to when it may be asked.
func (s *Server) Elapse(d time.Duration) {
	s.issuer.mu.Lock()
	defer s.issuer.mu.Unlock()
	s.issuer.next = s.issuer.next.Add(-d)
	if keys := s.issuer.current.Load(); keys != nil {
		older := *keys
		older.fetched = keys.fetched.Add(-d)
		s.issuer.current.Store(&older)
	}
}

// Patience has requests wait so long for the issuer.
func (s *Server) Patience(d time.Duration) { s.issuer.patience = d }

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
