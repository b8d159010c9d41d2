package soaktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// script is a source at a revision that the test chooses. A real Git repository would give the same,
// at the price of two processes a step; package sources has tests with real ones.
type script struct {
	mu    sync.Mutex
	next  *fleet.Snapshot
	down  bool
	known string // the revision that the server knew when it last looked
	looks int
}

func (s *script) String() string { return "script" }

func (s *script) Fetch(_ context.Context, known string) (*fleet.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.down {
		return nil, errors.New("no route to host")
	}
	s.known = known
	if s.next.Revision == known {
		return nil, nil
	}
	return s.next, nil
}

func (s *script) Watch(context.Context, func()) error { return nil }

func (s *script) put(c *commit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.known = c.snapshot(), ""
}

func (s *script) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.known = down, ""
}

// seen reports whether the server is done with the revision.
func (s *script) seen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known == s.next.Revision
}

func (s *script) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}

// outage is how a store fails.
type outage int

const (
	none outage = iota
	// away is a store that cannot be reached.
	away
	// unkept is a store whose connection is lost before a change reaches it, and unheard one
	// whose connection is lost after it has kept the change.
	unkept
	unheard
)

// flaky is a store that fails as the test chooses.
type flaky struct {
	fleet.Store
	mu   sync.Mutex
	fail outage
}

var errAway = fmt.Errorf("soak: %w: connection reset by peer", fleet.ErrStore)

func (f *flaky) set(o outage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = o
}

func (f *flaky) is(o outage) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail == o
}

func (f *flaky) Append(ctx context.Context, c *fleet.Change) error {
	switch {
	case f.is(away), f.is(unkept):
		return errAway
	case f.is(unheard):
		if err := f.Store.Append(ctx, c); err != nil {
			return err
		}
		return errAway
	}
	return f.Store.Append(ctx, c)
}

func reach[T any](f *flaky, call func() (T, error)) (T, error) {
	if f.is(away) {
		var nothing T
		return nothing, errAway
	}
	return call()
}

func (f *flaky) Load(ctx context.Context) (*fleet.LogState, error) {
	return reach(f, func() (*fleet.LogState, error) { return f.Store.Load(ctx) })
}

func (f *flaky) Since(ctx context.Context, generation int64) (*fleet.LogChanges, error) {
	return reach(f, func() (*fleet.LogChanges, error) { return f.Store.Since(ctx, generation) })
}

func (f *flaky) Generation(ctx context.Context) (int64, error) {
	return reach(f, func() (int64, error) { return f.Store.Generation(ctx) })
}

func (f *flaky) Snapshot(ctx context.Context, digest string) (*fleet.Packed, error) {
	return reach(f, func() (*fleet.Packed, error) { return f.Store.Snapshot(ctx, digest) })
}

func (f *flaky) SaveSnapshot(ctx context.Context, p *fleet.Packed) error {
	_, err := reach(f, func() (any, error) { return nil, f.Store.SaveSnapshot(ctx, p) })
	return err
}

func (f *flaky) Release(ctx context.Context, id string) (*fleet.Release, error) {
	return reach(f, func() (*fleet.Release, error) { return f.Store.Release(ctx, id) })
}

// clock is a clock that the test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// forget makes seen wait for a server that has not looked yet.
func (s *script) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = ""
}
