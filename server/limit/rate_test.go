package limit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRateIsPerKeyAndRefills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(10, 5)
		noisy, quiet := Key{Name: "noisy"}, Key{Name: "quiet"}
		for n := range 5 {
			if wait := l.Take(noisy); wait != 0 {
				t.Errorf("action %d of the burst waits %s", n, wait)
			}
		}
		wait := l.Take(noisy)
		if wait != 100*time.Millisecond {
			t.Errorf("beyond the burst it waits %s, want 100 ms", wait)
		}
		if wait := l.Take(quiet); wait != 0 {
			t.Errorf("another key waits %s", wait)
		}
		time.Sleep(wait)
		if wait := l.Take(noisy); wait != 0 {
			t.Errorf("after the wait it waits %s again", wait)
		}
	})
}

func TestRateForgetsIdleKeysAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewRateLimiter(1, 10)
		busy := Key{Name: "busy"}
		for l.Take(busy) == 0 {
		}
		for n := range 100 {
			for m := range 100 {
				l.Take(Key{Name: "passer-by", Cluster: fmt.Sprint(n, m)})
			}
			time.Sleep(time.Second)
			if l.Take(busy) != 0 || l.Take(busy) == 0 {
				t.Fatalf("after %d s the busy key has another rate than 1 a second", n+1)
			}
		}
		if kept := len(l.current) + len(l.previous); kept > 2_100 {
			t.Errorf("%d keys are kept, want those of 20 seconds", kept)
		}
	})
}

func TestNoRateIsNoBound(t *testing.T) {
	t.Parallel()
	l := NewRateLimiter(-1, 1)
	for range 1000 {
		if wait := l.Take(Key{}); wait != 0 {
			t.Fatalf("waits %s", wait)
		}
	}
}

func TestRateHoldsForManyAtOnce(t *testing.T) {
	t.Parallel()
	l, start := NewRateLimiter(100, 50), time.Now()
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5_000 {
				if l.Take(Key{}) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if most := 50 + int64(100*time.Since(start).Seconds()) + 1; passed.Load() > most {
		t.Errorf("%d passed, want at most %d", passed.Load(), most)
	}
}
