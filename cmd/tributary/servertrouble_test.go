package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// trouble records when a server or the database is down.
type trouble struct {
	noDatabase atomic.Bool

	mu      sync.Mutex
	present bool
	ended   time.Time
}

// afterTrouble is how long a server may be slow after a fault.
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

// noneSince reports whether there has been no fault since then or just before.
func (x *trouble) noneSince(then time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.present && x.ended.Add(afterTrouble).Before(then)
}
