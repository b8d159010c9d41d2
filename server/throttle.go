package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// throttle slows who guesses credentials, by his address and by what he shows.
// It delays the answers to failed attempts and nothing else: clusters share
// addresses, and one with a valid credential must not pay for its neighbour. So
// it makes guessing slow and visible, not impossible; that tokens are long and
// random does. Whatever is sent, its memory stays the same.
type throttle struct {
	seed  maphash.Seed // else who guesses could choose whose slot he fills
	sleep func(context.Context, time.Duration)

	mu                     sync.Mutex // never held while an answer is
	addresses, credentials [throttleSlots]slot
	held                   int // answers in all
}

// slot is what is remembered of all addresses, or all credentials, that hash to it.
type slot struct {
	failures float64 // at the time at, from when on they are forgotten
	at       time.Time
	held     int // answers held back now
}

const (
	throttleSlots = 4096
	// A person who mistypes notices nothing; a program is slowed from the sixth time on.
	freeFailures = 5
	mostFailures = 60 // remembered, so that a flood is forgotten within ten minutes
	forgetting   = 10 * time.Second
	firstDelay   = 100 * time.Millisecond
	longestDelay = 2 * time.Second
	// An answer held back is a connection and a goroutine.
	mostHeld        = 256
	mostHeldPerSlot = 8
)

// errTooMany is for requests that come faster than they are answered.

var errTooManyFailures = fmt.Errorf("%w: none of these credentials is known, and as many answers are held back as may be: "+
	"mend the credential and come back later", api.ErrTooMany)

func newThrottle() *throttle { return &throttle{seed: maphash.MakeSeed(), sleep: sleep} }

// sleep ends early where ctx does.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// hold counts a failed attempt and returns once it may be answered, or that it
// cannot be held back. An empty credential is one too long to be looked at.
func (t *throttle) hold(ctx context.Context, address netip.Addr, credential string) error {
	slots := []*slot{t.slot(&t.addresses, maphash.Comparable(t.seed, address))}
	if credential != "" {
		slots = append(slots, t.slot(&t.credentials, maphash.String(t.seed, credential)))
	}
	delay, err := t.enter(slots)
	if err != nil || delay == 0 {
		return err
	}
	defer t.leave(slots)
	t.sleep(ctx, delay)
	return nil
}

func (t *throttle) slot(table *[throttleSlots]slot, sum uint64) *slot {
	return &table[sum%throttleSlots]
}

// enter tells for how long to hold an answer back; where that is more than 0,
// the caller must leave.
func (t *throttle) enter(slots []*slot) (time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, delay, full := time.Now(), time.Duration(0), t.held >= mostHeld
	for _, s := range slots {
		delay = max(delay, s.fail(now))
		full = full || s.held >= mostHeldPerSlot
	}
	switch {
	case delay == 0:
		return 0, nil
	case full:
		return 0, errTooManyFailures
	}
	t.count(slots, 1)
	return delay, nil
}

func (t *throttle) leave(slots []*slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(slots, -1)
}

func (t *throttle) count(slots []*slot, n int) {
	t.held += n
	for _, s := range slots {
		s.held += n
	}
}

// fail counts one more failure and returns the delay that they have come to.
func (s *slot) fail(now time.Time) time.Duration {
	s.failures = max(0, s.failures-float64(now.Sub(s.at))/float64(forgetting))
	s.failures, s.at = min(s.failures+1, mostFailures), now
	over := int(s.failures) - freeFailures
	if over <= 0 {
		return 0
	}
	return min(firstDelay<<min(over-1, 10), longestDelay)
}

// failedAttempt is a credential that was shown and is none of ours.
type failedAttempt struct {
	kind       string // for the metrics
	credential string // "" where it is too long to be looked at
	err        error
}

func (e *failedAttempt) Error() string { return e.err.Error() }
func (e *failedAttempt) Unwrap() error { return e.err }

// slowed counts err where it is a failed attempt, and returns what to answer
// once it may be answered.
func (s *Server) slowed(r *http.Request, err error) error {
	var failed *failedAttempt
	if !errors.As(err, &failed) {
		return err
	}
	s.metrics.failedAuthentications.WithLabelValues(failed.kind).Inc()
	return cmp.Or(s.throttle.hold(r.Context(), clientAddress(r.RemoteAddr), failed.credential), err)
}

// clientAddress is what to slow a client by: of IPv6 the network, since each
// client has a whole one to choose addresses from.
func clientAddress(remote string) netip.Addr {
	addr, _ := netip.ParseAddrPort(remote) // all that have none share one slot
	ip := addr.Addr().Unmap().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(64) // IPv6 has that many bits
		return network.Addr()
	}
	return ip
}
