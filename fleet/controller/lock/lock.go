// Package lock has the writer's lock, which is held for as long as a change is appended and published,
// and never while anything is rendered. Waiting for it ends with a context. It is known who works on a
// change, and a watchdog reports work that takes long.
//
//	work := l.Begin("ada", "write delta/canary")
//	defer work.End()
//	if err := work.TakeTurn(ctx, 100*time.Millisecond); err != nil { ... }
//	change := render()                                 // others may render too, but not commit
//	if err := work.Lock(ctx); err != nil { ... }
//	defer work.Unlock()
//
// A turn lets one worker go before all others, so that what it has rendered still holds when it has the
// lock. It is a courtesy with an end: after that time the others go on, whatever the worker does. Turns
// are taken in the order in which they were asked for.
package lock

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// Lock is a writer's lock. Use New.
type Lock struct {
	held  *semaphore.Weighted // of weight 1
	turns *semaphore.Weighted // of weight 1; held while a turn lasts
	turn  atomic.Pointer[turn]

	// patience is how long work may take before it is reported.
	patience time.Duration

	mu      sync.Mutex // guards what follows, and is held for moments only
	working map[*Work]*entry
}

// turn is the turn of one worker. Its context ends with it.
type turn struct {
	of    *Work
	until context.Context
	end   context.CancelFunc
}

// New returns a lock that nobody holds. Work that takes longer than patience is reported.
func New(patience time.Duration) *Lock {
	return &Lock{held: semaphore.NewWeighted(1), turns: semaphore.NewWeighted(1), patience: patience, working: map[*Work]*entry{}}
}

// Work is one change that somebody works on. It is used by one goroutine.
type Work struct {
	lock *Lock
	turn *turn // the last one; nil for none
}

// Begin registers that an actor begins to work on something.
func (l *Lock) Begin(actor, what string) *Work {
	w := &Work{lock: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.working[w] = &entry{report: Report{Actor: actor, What: what, Stage: Rendering, Since: now, Entered: now}, due: l.patience}
	return w
}

// End ends the work, and its turn.
func (w *Work) End() {
	w.EndTurn()
	w.lock.mu.Lock()
	defer w.lock.mu.Unlock()
	delete(w.lock.working, w)
}

// EndTurn ends the work's turn, if it has one.
func (w *Work) EndTurn() {
	if w.turn != nil {
		w.turn.end()
	}
}

// TakeTurn waits until no other worker has a turn, and until nobody holds the lock. From then on, nobody
// else gets the lock before the work has had it, has ended, or the limit has passed.
func (w *Work) TakeTurn(ctx context.Context, limit time.Duration) error {
	w.EndTurn()
	w.enter(Waiting)
	defer w.enter(Rendering)
	l := w.lock
	if err := l.turns.Acquire(ctx, 1); err != nil {
		return err
	}
	until, end := context.WithTimeout(context.Background(), limit)
	w.turn = &turn{of: w, until: until, end: end}
	l.turn.Store(w.turn)
	context.AfterFunc(until, func() { l.turns.Release(1) })
	if err := l.held.Acquire(ctx, 1); err != nil {
		end()
		return err
	}
	l.held.Release(1)
	return nil
}

// Lock waits for the lock, and for the turn of another worker.
func (w *Work) Lock(ctx context.Context) error {
	w.enter(Waiting)
	l := w.lock
	for {
		if t := l.turn.Load(); t != nil && t.of != w {
			select {
			case <-t.until.Done():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := l.held.Acquire(ctx, 1); err != nil {
			return err
		}
		if t := l.turn.Load(); t == nil || t.of == w || t.until.Err() != nil {
			w.enter(Locked)
			return nil
		}
		l.held.Release(1) // A turn began while this waited.
	}
}

// Unlock gives the lock back, and ends the turn.
func (w *Work) Unlock() {
	w.lock.held.Release(1)
	w.EndTurn()
	w.enter(Rendering)
}
