package controller_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// slowSource is a source whose Fetch takes ten seconds.
type slowSource struct{ looks atomic.Int32 }

func (*slowSource) String() string                      { return "slow" }
func (*slowSource) Watch(context.Context, func()) error { return nil }

func (s *slowSource) Fetch(ctx context.Context, _ string) (*fleet.Snapshot, error) {
	s.looks.Add(1)
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
	}
	return nil, ctx.Err()
}

// runWithSlowSource runs a controller with a slow source while test runs. test starts during the
// first look.
func runWithSlowSource(t *testing.T, test func(t *testing.T, s *slowSource, f *controller.Controller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slowSource{}
		f := controller.New(controller.Config{Source: s, Renderer: render.Renderer{}, Interval: 24 * time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		test(t, s, f)
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) > 0 {
			t.Errorf("Run() = %v after %v, want nil immediately", err, time.Since(start))
		}
	})
}

func (s *slowSource) wantLooks(t *testing.T, want int32, why string) {
	t.Helper()
	synctest.Wait()
	if got := s.looks.Load(); got != want {
		t.Errorf("%d looks, want %d: %s", got, want, why)
	}
}

func TestBurstOfRequestsCausesTwoLooks(t *testing.T) {
	t.Parallel()
	runWithSlowSource(t, func(t *testing.T, s *slowSource, f *controller.Controller) {
		time.Sleep(time.Minute)
		f.Look()
		s.wantLooks(t, 2, "one at the start and one immediately")
		for range 20 {
			f.Look()
			time.Sleep(4 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		s.wantLooks(t, 3, "one for the rest of the burst")
		f.Look()
		s.wantLooks(t, 4, "one for one request")
	})
}

func TestRequestedLooksAreRateLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &instantSource{}
		f := controller.New(controller.Config{Source: s, Renderer: render.Renderer{}, Interval: 24 * time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(time.Minute)
		for range 100 { // for one second
			f.Look()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if got := s.looks.Load(); got < 10 || got > 13 {
			t.Errorf("%d looks, want one at the start and about ten in the second with a hundred requests", got)
		}
		f.Look()
		synctest.Wait()
		f.Look()
		synctest.Wait() // the controller waits for the rest of the burst
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) > 0 {
			t.Errorf("Run() = %v after %v, want nil immediately", err, time.Since(start))
		}
	})
}

// instantSource is a source whose Fetch takes no time.
type instantSource struct{ looks atomic.Int32 }

func (*instantSource) String() string                      { return "quick" }
func (*instantSource) Watch(context.Context, func()) error { return nil }

func (s *instantSource) Fetch(context.Context, string) (*fleet.Snapshot, error) {
	s.looks.Add(1)
	return nil, nil
}

func TestLookRequestedDuringALookIsNotLost(t *testing.T) {
	t.Parallel()
	runWithSlowSource(t, func(t *testing.T, s *slowSource, f *controller.Controller) {
		for range 9 {
			time.Sleep(time.Second)
			f.Look()
		}
		s.wantLooks(t, 1, "the first look is still running")
		time.Sleep(time.Minute)
		s.wantLooks(t, 2, "one for all requests during the first")
	})
}

func TestEndlessBurstDoesNotDelayLooks(t *testing.T) {
	t.Parallel()
	runWithSlowSource(t, func(t *testing.T, s *slowSource, f *controller.Controller) {
		time.Sleep(15 * time.Second)
		for range 3000 {
			f.Look()
			time.Sleep(10 * time.Millisecond)
		}
		if got := s.looks.Load(); got < 3 {
			t.Errorf("%d looks during continuous requests, want at least 3", got)
		}
	})
}

// rateLimitedSource is a source whose host asks clients to wait.
type rateLimitedSource struct {
	after time.Duration
	looks atomic.Int32
}

func (*rateLimitedSource) String() string                      { return "busy" }
func (*rateLimitedSource) Watch(context.Context, func()) error { return nil }

func (b *rateLimitedSource) Fetch(context.Context, string) (*fleet.Snapshot, error) {
	b.looks.Add(1)
	return nil, &fleet.RetryError{Err: errors.New("too many requests"), After: b.after}
}

func TestRetryAfterOfAHostIsRespected(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ after, quiet, again time.Duration }{
		{30 * time.Second, 29 * time.Second, 34 * time.Second},
		{1000 * time.Hour, 59 * time.Minute, 67 * time.Minute}, // longer than the maximum wait
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &rateLimitedSource{after: c.after}
			f := controller.New(controller.Config{Source: b, Renderer: render.Renderer{}, Interval: time.Second})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx) }()

			start := time.Now()
			for time.Since(start) < c.quiet {
				f.Look()
				time.Sleep(c.quiet / 20)
			}
			synctest.Wait()
			if got := b.looks.Load(); got != 1 {
				t.Errorf("%[2]d requests within %[3]v to a host with Retry-After: %[1]v, want 1", c.after, got, c.quiet)
			}
			time.Sleep(c.again - time.Since(start))
			synctest.Wait()
			if got := b.looks.Load(); got < 2 {
				t.Errorf("%[2]d requests within %[3]v to a host with Retry-After: %[1]v, want at least 2", c.after, got, c.again)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run() = %v, want nil", err)
			}
		})
	}
}
