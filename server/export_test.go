package server

import (
	"context"
	"net/http"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
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

// Occupy takes every place that there is for answering polls, as slow clients would,
// until what is returned is called.
func (s *Server) Occupy() (leave func()) {
	places := slowShare * s.polls.most
	long := (int64(time.Since(s.polls.start)/time.Second) + 64) % int64(len(s.polls.begun)) // ago, and long until it is now
	for range places {
		s.polls.all.Add(1)
		s.polls.begun[long].Add(1)
	}
	return func() {
		for range places {
			s.polls.leave(long)
		}
	}
}

// Connections is how many are open.
func (s *Server) Connections() int { return s.open.Load().count() }
