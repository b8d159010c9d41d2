// Package limit bounds what clients can cost a server. What exceeds a bound is turned
// away at once, with an error that says why. Only changes wait in a queue, one for each
// credential: clients that wait otherwise give up and come again.
//
//	polls := limit.NewInflightLimiter(4096)
//	slot, err := polls.Enter(time.Now())
//	if err != nil {
//		return err // 503; limit.RetryAfter(err) is for the header
//	}
//	defer polls.Leave(slot)
//
// An InflightLimiter bounds the requests that are answered at one time, a RateLimiter
// how often each credential sends requests, Shares how many of its changes are worked on, a Listener the open connections, and a stall writer
// the time that a client takes to read. The package knows nothing of what is served.
package limit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// The reasons for which a request is shed, as metrics count them.
const (
	ReasonBusy        = "busy"        // the bound on requests at one time
	ReasonSlow        = "slow"        // the same, and most of them are of clients that read slowly
	ReasonConnections = "connections" // the bound on open connections
	ReasonRate        = "rate"        // the rate of a credential
	ReasonShare       = "share"       // the changes of a credential that are under way
)

var (
	errBusy = &shedError{ReasonBusy, 0, fmt.Errorf("%w: the server answers as many requests as it can at one time: try again later", api.ErrBusy)}
	errSlow = &shedError{ReasonSlow, 0, fmt.Errorf("%w: clients that read slowly take all the room there is: try again later", api.ErrBusy)}

	// ErrConnections is for a request on a connection beyond the bound.
	ErrConnections error = &shedError{ReasonConnections, 0, fmt.Errorf("%w: too many connections are open: try again later", api.ErrBusy)}
)

// shedError says why a request is shed.
type shedError struct {
	reason string
	after  time.Duration // 0 where it is not known
	err    error
}

func (e *shedError) Error() string { return e.err.Error() }
func (e *shedError) Unwrap() error { return e.err }

// RateError returns the error for a credential that exceeds its rate and may send its
// next request after wait.
func RateError(wait time.Duration, remedy string) error {
	return &shedError{ReasonRate, wait, fmt.Errorf("%w: the credential exceeds its rate: %s", api.ErrTooMany, remedy)}
}

// Reason returns the reason for which a request is shed, or "" for any other error.
func Reason(err error) string {
	var shed *shedError
	if errors.As(err, &shed) {
		return shed.reason
	}
	return ""
}

// RetryAfter returns how many seconds a client should wait after err. Clients that are
// turned away at the same time get different answers, so that they do not come back at
// the same time.
func RetryAfter(err error) int {
	var shed *shedError
	switch {
	case errors.As(err, &shed) && shed.after > 0:
		return 1 + int(shed.after/time.Second)
	case errors.Is(err, api.ErrBusy):
		return 1 + rand.IntN(10)
	}
	return 10 // about the time that a release takes
}
