package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
)

var errCrossSite = fmt.Errorf("%w: a page of another site made the browser send this: send it without a browser", fleet.ErrForbidden)

// CheckAddress returns an error if the server must not answer on addr, because everybody
// would be admin there. Call it as soon as the address is known; Serve calls it again.
func (s *Server) CheckAddress(addr net.Addr) error { return s.auth.CheckAddress(addr) }

// admission answers the requests of a route that are admitted, and refuses the rest.
func (s *Server) admission(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x, ok := w.(*exchange); ok {
			x.route = rt
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.maxBody(rt))
		unescapeVars(r)
		if err := s.serveRoute(w, r, rt); err != nil {
			s.problem(w, r, err)
		}
	})
}

// serveRoute answers a request. A request whose answer is delayed because of a failed
// attempt takes no room from others.
func (s *Server) serveRoute(w http.ResponseWriter, r *http.Request, rt route) error {
	if err := s.admit(w, r, rt); err != nil {
		return err
	}
	leave, err := s.enter(rt)
	if err != nil {
		return err
	}
	defer leave()
	if rt.changes() {
		return s.serveChange(w, r, rt)
	}
	return rt.handle(w, r)
}

// changes reports whether rt is for changes of the fleet, or for dry runs of them.
func (rt route) changes() bool {
	return rt.method != http.MethodGet && rt.role >= auth.Bootstrap && rt.role != auth.Webhook && rt.path != previewPath
}

// serveChange answers the request for a change, which ends with its client and within Limits.Change.
// What one credential has worked out does not keep others waiting.
func (s *Server) serveChange(w http.ResponseWriter, r *http.Request, rt route) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Limits.Change)
	defer cancel()
	most := max(1, s.cfg.Limits.Requests/4)
	if rt.role == auth.Bootstrap {
		most = s.cfg.Limits.Requests // clusters share the token, and have a rate of their own
	}
	leave, err := s.changes.Enter(ctx, limitKey(identityOf(w)), most)
	if err == nil {
		defer leave()
		err = rt.handle(w, r.WithContext(ctx))
	} else if reason := limit.Reason(err); reason != "" {
		s.metrics.requestsShed.WithLabelValues(reason).Inc()
	}
	switch {
	case err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()):
		return err
	case r.Context().Err() != nil:
		return fmt.Errorf("%w: the client left before the change was checked, and nothing is changed", fleet.ErrBusy)
	}
	return fmt.Errorf("%w: the change was not checked within %s, and nothing is changed: try again later, or change less at once", fleet.ErrBusy, s.cfg.Limits.Change)
}

// unescapeVars unescapes the parts of the path, which the router leaves as they came.
func unescapeVars(r *http.Request) {
	vars := mux.Vars(r)
	for name, value := range vars {
		vars[name] = unescaped(value)
	}
}

// maxBody returns how many bytes the body of a request may have.
func (s *Server) maxBody(rt route) int64 {
	switch {
	case rt.role == auth.Webhook:
		return s.cfg.Limits.HookBytes
	case rt.path == previewPath:
		return s.cfg.Limits.SnapshotBytes
	}
	return s.cfg.Limits.BodyBytes
}

// admit returns an error if the sender of r must not use the route now.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, rt route) error {
	if s.crossSite.Check(r) != nil {
		return errCrossSite // a browser adds the credentials that it knows
	}
	if rt.role == auth.Webhook || rt.role == auth.Anyone {
		if err := s.auth.CheckHost(r); err != nil || rt.role == auth.Anyone || !s.cfg.ReadOnly {
			return err // the secret of a webhook is not a token, and the route verifies it
		}
		return fleet.ErrReadOnly // the server that leads must receive it
	}
	authenticate := s.auth.Authenticate
	if rt.role == auth.Bootstrap {
		authenticate = s.auth.AuthenticateReplaced
	}
	who, err := authenticate(r)
	if x, ok := w.(*exchange); ok {
		x.who = who
	}
	if err != nil {
		return err
	}
	if err := s.checkRate(rt, who); err != nil {
		return err
	}
	return s.authorize(who, rt)
}

// authorize returns an error if an identity must not use a route. Everybody with a credential may
// ask what it is.
func (s *Server) authorize(who auth.Identity, rt route) error {
	if err := who.Allow(rt.role); err != nil && rt.path != whoamiPath {
		return err
	}
	if s.cfg.ReadOnly && rt.method != http.MethodGet && rt.path != previewPath { // a preview keeps nothing
		return fleet.ErrReadOnly
	}
	return nil
}

// enter admits a request other than a poll, and returns the function to call once it is
// answered.
func (s *Server) enter(rt route) (leave func(), err error) {
	limiter := s.requests
	switch {
	case rt.isOperational():
		return func() {}, nil
	case rt.role == auth.Webhook: // the sender is not known yet, nor how slowly it sends
		limiter = s.hooks
	}
	slot, err := limiter.Enter(time.Now())
	if err != nil {
		s.metrics.requestsShed.WithLabelValues(limit.Reason(err)).Inc()
		return nil, err
	}
	return func() { limiter.Leave(slot) }, nil
}

// isOperational reports whether rt is for probes and scrapers, which must be answered
// most of all while other requests are shed.
func (rt route) isOperational() bool { return rt.role == auth.Anyone || rt.path == metricsPath }

// checkRate returns an error if a credential exceeds its rate. Registrations have a rate
// of their own, because clusters share the token for them.
func (s *Server) checkRate(rt route, who auth.Identity) error {
	if rt.isOperational() || rt.role == auth.Bootstrap {
		return nil
	}
	if wait := s.requestRate.Take(limitKey(who)); wait > 0 {
		s.metrics.requestsShed.WithLabelValues(limit.ReasonRate).Inc()
		return limit.RateError(wait, "send requests less often")
	}
	return nil
}

// limitKey returns what the rate of an identity's requests is counted by.
func limitKey(who auth.Identity) limit.Key {
	key := limit.Key{Name: who.Name}
	if who.Token != nil {
		key.Token = who.Token.ID
	}
	return key
}

var errNoRoute = fmt.Errorf("route %w: / and /openapi.yaml list the routes", fleet.ErrNotFound)

// methodError is the error for a method that a route does not have.
type methodError struct{ method, allowed string }

func (e *methodError) Error() string {
	return fmt.Sprintf("%s: %s: use %s", e.method, api.ErrMethodNotAllowed, e.allowed)
}

func (e *methodError) Unwrap() error { return api.ErrMethodNotAllowed }
