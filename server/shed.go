package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// Why a request is shed, for the metrics.
const (
	shedBusy        = "busy"        // as many are answered as may be at one time
	shedSlow        = "slow"        // most of those by clients that take long to read
	shedConnections = "connections" // too many are open
	shedRate        = "rate"        // the credential sends more than it may
)

// sheds are what a request that is shed is told. Flux keeps what it has and comes
// again by itself, whatever the status.
var sheds = map[string]error{
	shedBusy:        fmt.Errorf("%w: as many requests are being answered as may be at one time: come back later", api.ErrBusy),
	shedSlow:        fmt.Errorf("%w: clients that take long to read have all places there are: come back later", api.ErrBusy),
	shedConnections: fmt.Errorf("%w: as many connections are open as may be at one time: come back later", api.ErrBusy),
}

// laterError is an error that is over after some time.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// comeBack is how many seconds to wait after err. Those who come at once are told
// different times, lest they come back at once.
func comeBack(err error) int {
	var later *laterError
	switch {
	case errors.As(err, &later):
		return 1 + int(later.after/time.Second)
	case errors.Is(err, api.ErrBusy):
		return 1 + rand.IntN(10)
	}
	return 10 // a release takes seconds
}

// overRate is for a credential that may send its next request after wait.
func overRate(wait time.Duration, remedy string) error {
	return &laterError{fmt.Errorf("%w: this credential sends more than it may: %s", api.ErrTooMany, remedy), wait}
}

// enter returns how to leave once a request other than a poll is answered, or why it
// is shed.
func (s *Server) enter(rt route) (leave func(), err error) {
	g := s.requests
	switch {
	case rt.vital():
		return func() {}, nil
	case rt.least == roleHook: // nobody knows yet who sends it, however slowly
		g = s.hooks
	}
	second, reason := g.enter()
	if reason != "" {
		s.metrics.requestsShed.WithLabelValues(reason).Inc()
		return nil, sheds[reason]
	}
	return func() { g.leave(second) }, nil
}

const metricsPath = "/metrics"

// vital tells whether rt must answer most of all where others are shed: it says what
// is going on.
func (rt route) vital() bool { return rt.least == roleAnyone || rt.path == metricsPath }

// paces tells whether the rate of rt's requests is bounded here. Registrations have a
// bound of their own, because clusters share the token for it.
func (rt route) paces() bool { return !rt.vital() && rt.least != roleBootstrap }
