package server

import (
	"sync/atomic"
	"time"
)

// gate bounds how many requests of a kind are answered at one time. One beyond it is
// turned away at once: a queue would only have clients wait until they give up.
//
// Whoever takes long to read his answer must not use up the places of others. So
// requests are counted by the second in which they began, and those that began in
// this one or the last are held against one bound, and all together, which slow
// clients are most of, against another. It takes no lock.
type gate struct {
	start time.Time
	most  int64
	all   atomic.Int64
	// begun is by second, in a circle that is longer than an answer may take. One that
	// takes longer all the same is for a second taken for a new one.
	begun [128]atomic.Int64
}

// slowShare is how many times as many may be answered where most of them are slow.
const slowShare = 4

func newGate(most int) *gate { return &gate{start: time.Now(), most: int64(most)} }

// enter tells whether one more may be answered; if so, the caller must leave with the
// second that is returned.
func (g *gate) enter() (second int64, reason string) {
	return g.enterAt(int64(time.Since(g.start) / time.Second))
}

func (g *gate) enterAt(second int64) (_ int64, reason string) {
	this, last := &g.begun[second%int64(len(g.begun))], &g.begun[(second+int64(len(g.begun))-1)%int64(len(g.begun))]
	all, fresh := g.all.Add(1), this.Add(1)+last.Load()
	switch {
	case fresh > g.most:
		reason = shedBusy
	case all > slowShare*g.most:
		reason = shedSlow
	default:
		return second, ""
	}
	g.leave(second)
	return 0, reason
}

func (g *gate) leave(second int64) {
	g.begun[second%int64(len(g.begun))].Add(-1)
	g.all.Add(-1)
}
