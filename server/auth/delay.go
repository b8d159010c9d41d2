package auth

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// failureDelay slows down whoever guesses credentials, by address and by credential. It
// delays the answers to failed attempts and nothing else: clusters share addresses, and
// one with a valid credential must not pay for its neighbour. So it makes guessing slow
// and visible, not impossible; that tokens are long and random does that.
//
// Its memory is fixed, whatever is sent. A token bucket does not serve here, since the
// delay grows with each failure and the count is what decays.
type failureDelay struct {
	seed maphash.Seed // without it an attacker could choose whose slot to fill
	max  time.Duration

	mu                     sync.Mutex // never held while an answer is delayed
	addresses, credentials [failureSlots]failureSlot
	delayed                int // answers in all
}

// failureSlot counts the failures of every address, or credential, that hashes to it.
type failureSlot struct {
	failures float64 // at the time at, from when on they decay
	at       time.Time
	delayed  int // answers
}

const (
	failureSlots = 4096
	// A person who mistypes notices nothing; a program is slowed from the sixth time on.
	freeFailures = 5
	maxFailures  = 60 // counted, so that a flood is forgotten within ten minutes
	decayTime    = 10 * time.Second
	firstDelay   = 100 * time.Millisecond
	// A delayed answer is a connection and a goroutine.
	maxDelayed        = 256
	maxDelayedPerSlot = 8
)

// ErrTooManyFailures is for a failed attempt whose answer cannot be delayed, because too
// many are.
var ErrTooManyFailures = fmt.Errorf("%w: none of these credentials is known, and too many answers are being delayed: "+
	"correct the credential and try again later", api.ErrTooMany)

func newFailureDelay(max time.Duration) *failureDelay {
	return &failureDelay{seed: maphash.MakeSeed(), max: max}
}

// wait counts a failed attempt and returns once it may be answered, or returns
// ErrTooManyFailures. An empty credential is one that was too long to be looked at.
func (d *failureDelay) wait(ctx context.Context, address netip.Addr, credential string) error {
	slots := []*failureSlot{&d.addresses[maphash.Comparable(d.seed, address)%failureSlots]}
	if credential != "" {
		slots = append(slots, &d.credentials[maphash.String(d.seed, credential)%failureSlots])
	}
	delay, err := d.enter(slots)
	if err != nil || delay <= 0 {
		return err
	}
	defer d.leave(slots)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// enter returns the delay of an answer. If it is positive, the caller calls leave.
func (d *failureDelay) enter(slots []*failureSlot) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, delay, full := time.Now(), time.Duration(0), d.delayed >= maxDelayed
	for _, s := range slots {
		delay = max(delay, s.fail(now))
		full = full || s.delayed >= maxDelayedPerSlot
	}
	delay = min(delay, d.max)
	switch {
	case delay <= 0:
		return 0, nil
	case full:
		return 0, ErrTooManyFailures
	}
	d.count(slots, 1)
	return delay, nil
}

func (d *failureDelay) leave(slots []*failureSlot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count(slots, -1)
}

func (d *failureDelay) count(slots []*failureSlot, n int) {
	d.delayed += n
	for _, s := range slots {
		s.delayed += n
	}
}

// fail counts one more failure and returns the delay that follows.
func (s *failureSlot) fail(now time.Time) time.Duration {
	s.failures = max(0, s.failures-float64(now.Sub(s.at))/float64(decayTime))
	s.failures, s.at = min(s.failures+1, maxFailures), now
	over := int(s.failures) - freeFailures
	if over <= 0 {
		return 0
	}
	return firstDelay << min(over-1, 10)
}

// failedAttempt is the error for a credential that was shown and is not valid.
type failedAttempt struct {
	kind       string // for metrics
	credential string // "" if it is too long to be looked at
	err        error
}

func (e *failedAttempt) Error() string { return e.err.Error() }
func (e *failedAttempt) Unwrap() error { return e.err }

// clientAddress returns the address to count failures by. Of IPv6 it is the network,
// since each client has a whole network to choose addresses from.
func clientAddress(remote string) netip.Addr {
	addr, _ := netip.ParseAddrPort(remote) // requests without an address share one slot
	ip := addr.Addr().Unmap().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(64) // IPv6 has that many bits
		return network.Addr()
	}
	return ip
}
