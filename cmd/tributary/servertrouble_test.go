package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// trouble knows when there is any: a server that is down or was a moment ago, or a
// database that is.
type trouble struct {
	noDatabase atomic.Bool

	mu      sync.Mutex
	present bool
	ended   time.Time
}

// afterTrouble is for how long after it a server may have other things to do than to
// be quick.
const afterTrouble = time.Second

func (x *trouble) during(do func()) {
	x.set(true)
	defer x.set(false)
	do()
}

func (x *trouble) set(present bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.present, x.ended = present, time.Now()
}

// noneSince tells whether there has been none since then, nor just before.
func (x *trouble) noneSince(then time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.present && x.ended.Add(afterTrouble).Before(then)
}
