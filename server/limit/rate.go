package limit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Key is what a rate is counted by: a credential and, for a credential that reads many
// clusters, the cluster.
type Key struct{ Name, Token, Cluster string }

// RateLimiter bounds how often each of many keys does something. A nil RateLimiter
// bounds nothing.
//
// A key that was idle long enough for its burst to be whole again needs no memory. The
// limiters that were used since the last rotation are in current, those of the period
// before in previous, and older ones are dropped. So memory is bounded by the number of
// keys that were used recently, and nothing is lost.
type RateLimiter struct {
	limit  rate.Limit
	burst  int
	period time.Duration // in which an empty bucket fills up

	mu                sync.Mutex // never held while a request waits
	current, previous map[Key]*rate.Limiter
	rotated           time.Time
}

// NewRateLimiter returns a limiter of perSecond actions by key, of which burst may come
// at once (at least one). It returns nil if perSecond is not positive.
func NewRateLimiter(perSecond float64, burst int) *RateLimiter {
	if perSecond <= 0 {
		return nil
	}
	burst = max(1, burst)
	return &RateLimiter{
		limit: rate.Limit(perSecond), burst: burst,
		period:  time.Duration(float64(burst) / perSecond * float64(time.Second)),
		current: map[Key]*rate.Limiter{}, rotated: time.Now(),
	}
}

// Take counts one action of key and returns 0, or returns how long the key must wait
// before its next action.
func (l *RateLimiter) Take(key Key) time.Duration {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() // under the lock, because a rate.Limiter counts twice if its time goes back
	limiter := l.limiter(key, now)
	if limiter.AllowN(now, 1) {
		return 0
	}
	r := limiter.ReserveN(now, 1)
	defer r.CancelAt(now)
	return r.DelayFrom(now)
}

// limiter returns the limiter of a key. The caller holds mu.
func (l *RateLimiter) limiter(key Key, now time.Time) *rate.Limiter {
	if now.Sub(l.rotated) >= l.period {
		l.previous, l.current, l.rotated = l.current, map[Key]*rate.Limiter{}, now
	}
	limiter := l.current[key]
	if limiter == nil {
		if limiter = l.previous[key]; limiter == nil {
			limiter = rate.NewLimiter(l.limit, l.burst)
		}
		l.current[key] = limiter
	}
	return limiter
}
