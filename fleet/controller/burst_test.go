package controller_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// slow is a source each look at which takes ten seconds.
type slow struct{ looks atomic.Int32 }

func (*slow) String() string                      { return "slow" }
func (*slow) Watch(context.Context, func()) error { return nil }

func (s *slow) Fetch(ctx context.Context, _ string) (*fleet.Snapshot, error) {
	s.looks.Add(1)
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
	}
	return nil, ctx.Err()
}

// follow runs a fleet of a slow source for as long as test does, which begins
// with the first look.
func follow(t *testing.T, test func(t *testing.T, s *slow, f *controller.Controller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		f := controller.New(controller.Config{Source: s, Renderer: render.Renderer{}, Interval: 24 * time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		synctest.Wait()
		test(t, s, f)
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) > 0 {
			t.Errorf("Run() = %v after %v, want nil at once", err, time.Since(start))
		}
	})
}

func (s *slow) looked(t *testing.T, want int32, why string) {
	t.Helper()
	synctest.Wait()
	if got := s.looks.Load(); got != want {
		t.Errorf("%d looks, want %d: %s", got, want, why)
	}
}

func TestFirstLookOfABurstIsAtOnceAndOneFollowsForTheRest(t *testing.T) {
	t.Parallel()
	follow(t, func(t *testing.T, s *slow, f *controller.Controller) {
		time.Sleep(time.Minute)
		f.Look()
		s.looked(t, 2, "the one at the start, and one at once")
		for range 20 {
			f.Look()
			time.Sleep(4 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		s.looked(t, 3, "one for all the rest of the burst")
		f.Look()
		s.looked(t, 4, "one for one")
	})
}

func TestLooksThatAreAskedForAreNotOnTheHeelsOfEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &quick{}
		f := controller.New(controller.Config{Source: s, Renderer: render.Renderer{}, Interval: 24 * time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(time.Minute)
		for range 100 { // for a second
			f.Look()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if got := s.looks.Load(); got < 10 || got > 13 {
			t.Errorf("%d looks, want the one at the start and about ten in the second in which a hundred were asked for", got)
		}
		f.Look()
		synctest.Wait()
		f.Look()
		synctest.Wait() // it waits for more of the burst
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) > 0 {
			t.Errorf("Run() = %v after %v, want nil at once", err, time.Since(start))
		}
	})
}

// quick is a source each look at which takes no time.
type quick struct{ looks atomic.Int32 }

func (*quick) String() string                      { return "quick" }
func (*quick) Watch(context.Context, func()) error { return nil }

func (s *quick) Fetch(context.Context, string) (*fleet.Snapshot, error) {
	s.looks.Add(1)
	return nil, nil
}

func TestLookThatIsAskedForDuringOneIsNotLost(t *testing.T) {
	t.Parallel()
	follow(t, func(t *testing.T, s *slow, f *controller.Controller) {
		for range 9 {
			time.Sleep(time.Second)
			f.Look()
		}
		s.looked(t, 1, "the first look takes longer")
		time.Sleep(time.Minute)
		s.looked(t, 2, "one for all that was asked for meanwhile")
	})
}

func TestBurstThatDoesNotEndHoldsNoLookUp(t *testing.T) {
	t.Parallel()
	follow(t, func(t *testing.T, s *slow, f *controller.Controller) {
		time.Sleep(15 * time.Second)
		for range 3000 {
			f.Look()
			time.Sleep(10 * time.Millisecond)
		}
		if got := s.looks.Load(); got < 3 {
			t.Errorf("%d looks while one was asked for all the time, want several", got)
		}
	})
}
