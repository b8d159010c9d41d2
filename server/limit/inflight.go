package limit

import (
	"sync/atomic"
	"time"
)

// InflightLimiter bounds how many requests of a kind are answered at one time.
//
// A client that reads its answer slowly must not use up the room of others. So requests
// are counted by the second in which they began. Those that began in this second or the
// one before are held to one bound; all together, most of which are then slow clients,
// to a higher one. It takes no lock.
type InflightLimiter struct {
	start time.Time
	max   int64
	all   atomic.Int64
	// begun counts by second, as a ring that is longer than an answer may take. A
	// request that takes longer than the ring counts as a new one for a second.
	begun [128]atomic.Int64
}

// slowFactor is the ratio of the bound on all requests to that on new ones.
const slowFactor = 4

// Slot is the place that a request takes in an InflightLimiter.
type Slot int64

// NewInflightLimiter returns a limiter for max requests.
func NewInflightLimiter(max int) *InflightLimiter {
	return &InflightLimiter{start: time.Now(), max: int64(max)}
}

// Enter admits a request that begins now, or returns the error to answer it with. A
// caller that was admitted calls Leave when the request is answered.
func (l *InflightLimiter) Enter(now time.Time) (Slot, error) {
	second := int64(now.Sub(l.start) / time.Second)
	slot := Slot(l.index(second))
	all, fresh := l.all.Add(1), l.begun[slot].Add(1)+l.begun[l.index(second-1)].Load()
	switch {
	case fresh > l.max:
		l.Leave(slot)
		return 0, errBusy
	case all > slowFactor*l.max:
		l.Leave(slot)
		return 0, errSlow
	}
	return slot, nil
}

func (l *InflightLimiter) index(second int64) int64 {
	n := int64(len(l.begun))
	return (second%n + n) % n
}

// Leave frees the place of a request.
func (l *InflightLimiter) Leave(slot Slot) {
	l.begun[slot].Add(-1)
	l.all.Add(-1)
}

// InFlight returns how many requests are being answered.
func (l *InflightLimiter) InFlight() int { return int(l.all.Load()) }
