package server

import (
	"net/http"
	"time"

	"github.com/tributary-gitops/tributary/server/limit"
)

// enter admits a request other than a poll, and returns the function to call once it is
// answered.
func (s *Server) enter(rt route) (leave func(), err error) {
	limiter := s.requests
	switch {
	case rt.isOperational():
		return func() {}, nil
	case rt.least == roleHook: // the sender is not known yet, nor how slowly it sends
		limiter = s.hooks
	}
	slot, err := limiter.Enter(time.Now())
	if err != nil {
		s.metrics.requestsShed.WithLabelValues(limit.Reason(err)).Inc()
		return nil, err
	}
	return func() { limiter.Leave(slot) }, nil
}

const metricsPath = "/metrics"

// isOperational reports whether rt is for probes and scrapers, which must be answered
// most of all while other requests are shed.
func (rt route) isOperational() bool { return rt.least == roleAnyone || rt.path == metricsPath }

// checkRate returns an error where a credential exceeds its rate. Registrations have a
// rate of their own, because clusters share the token for them.
func (s *Server) checkRate(rt route, who identity) error {
	if rt.isOperational() || rt.least == roleBootstrap {
		return nil
	}
	if wait := s.requestRate.Take(who.limitKey()); wait > 0 {
		s.metrics.requestsShed.WithLabelValues(limit.ReasonRate).Inc()
		return limit.RateError(wait, "send requests less often")
	}
	return nil
}

// limitKey returns what the rate of requests is counted by.
func (who identity) limitKey() limit.Key {
	key := limit.Key{Name: who.name}
	if who.token != nil {
		key.Token = who.token.ID
	}
	return key
}

// steadily returns w, or for a long answer a writer that cuts off clients that take none
// of it.
func (s *Server) steadily(w http.ResponseWriter, length int) http.ResponseWriter {
	return limit.StallWriter(w, length, s.cfg.Limits.Stall, s.cfg.Limits.Write)
}
