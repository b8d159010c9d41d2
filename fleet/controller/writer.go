package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/lock"
	"github.com/tributary-gitops/tributary/fleet/controller/metrics"
	"github.com/tributary-gitops/tributary/fleet/controller/position"
	"github.com/tributary-gitops/tributary/fleet/controller/prefetch"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/polls"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// writer appends to the change log and publishes views.
//
// Where it is, is one immutable position, which may be read at any time. It is replaced only while the
// lock is held, and nothing is rendered meanwhile: whatever takes long is worked out at a position
// beforehand, and counts only if the writer is still there once it has the lock.
type writer struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics.Metrics
	id        string // distinguishes servers
	polls     *polls.Tracker
	renders   view.Renders
	status    statusBoard
	published chan struct{} // of capacity 1: a view was published
	changed   broadcast     // there is another view, or another change
	prefetch  prefetch.Cache
	tokens    credential.Holder

	lock     *lock.Lock
	at       atomic.Pointer[position.Position]
	catching *semaphore.Weighted // of weight 1: held by the goroutine that takes up what the log has
	// stale is true where the log may hold more than is known here: an append whose end was not
	// heard, or a change of another server that could not be taken up.
	stale atomic.Bool
	lost  atomic.Pointer[error] // why the log must not be used any more
}

// state returns the state at the present position.
func (w *writer) state() *fleet.State { return w.at.Load().State }

// served returns what is served, or nil.
func (w *writer) served() *view.View { return w.at.Load().View }

// storeTimeout is how long one access to the store may take, for which the lock is held.
const storeTimeout = 30 * time.Second

// withStoreTimeout gives the store some time to do something. That it takes longer is an error of
// the store, not of the caller.
func withStoreTimeout(ctx context.Context, do func(ctx context.Context) error) error {
	return withTimeout(ctx, storeTimeout, do)
}

func withTimeout(ctx context.Context, limit time.Duration, do func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("%w: no answer within %s: %s", fleet.ErrStore, limit, err.Error())
	}
	return err
}

// read calls a method of the store, or of what reads from it, with a time limit.
func read[Q, T any](ctx context.Context, limit time.Duration, get func(context.Context, Q) (T, error), query Q) (found T, err error) {
	err = withTimeout(ctx, limit, func(ctx context.Context) (err error) {
		found, err = get(ctx, query)
		return err
	})
	return found, err
}

// now returns the time as the change log keeps it.
func (w *writer) now() time.Time { return w.cfg.Now().UTC().Truncate(time.Microsecond) }

// holder returns the ID of the server that must hold the lease when a change of the leader is appended.
func (w *writer) holder() string {
	if w.cfg.Store == nil {
		return ""
	}
	return w.id
}

// proposal is a change that is ready to be committed at the position that it was worked out at.
type proposal struct {
	change *fleet.Change
	// next is the view that the change leads to; nil stands for the present one, which differs in
	// nothing but the generation.
	next *view.View
	// done, where it is not nil, is called once the change is committed, and err returned then.
	done func()
	err  error
}

// pace says for how long others wait for a change: from the beginning, and again each time that
// another change came before it.
type pace struct{ first, again time.Duration }

var (
	// Most writes are worked out in a few milliseconds. To wait for them is better than to work out
	// another one that they will make void.
	writePace = pace{200 * time.Millisecond, 2 * time.Second}
	// A release is rendered for longer. Most of it holds after other changes.
	releasePace = pace{again: 5 * time.Second}
	// Nobody waits for a dry run.
	dryRunPace = pace{}
)

// A change is given up once so many others came before it and so much time has passed. In one server
// that does not happen to one that is worked out within its turn, but other servers do not wait for it.
const (
	giveUpRounds = 10
	giveUpTime   = 20 * time.Second
)

// maxUnexplained is how often the store may refuse a change although the log has not gone on: this server
// may no longer hold the lease that the change needs.
const maxUnexplained = 5

var errOvertaken = errors.New("another change came before")

// change makes a change. Propose works it out at a position: it mutates, renders and checks, without the
// lock. Then, with the lock held, the proposal is committed, if the writer is still at that position. Else
// it is worked out again. A proposal that is nil changes nothing.
func (w *writer) change(ctx context.Context, actor, what string, p pace, propose func(ctx context.Context, at *position.Position) (*proposal, error)) error {
	if w.cfg.ReadOnly {
		return fleet.ErrReadOnly
	}
	work := w.lock.Begin(actor, what)
	defer work.End()
	begun, turn, unexplained, end := time.Now(), p.first, 0, int64(unknownEnd)
	for round := 1; ; round++ {
		if err := w.catchUpIfStale(ctx); err != nil {
			return err
		}
		if turn > 0 {
			if err := w.metrics.Wait(func() error { return work.TakeTurn(ctx, turn) }); err != nil {
				return err
			}
		}
		at := w.at.Load()
		proposed, err := propose(ctx, at)
		if err != nil || proposed == nil {
			work.EndTurn()
			if final, err := w.isFinal(ctx, at, &end, err); final {
				return err
			}
			continue
		}
		if err = w.commitAt(ctx, work, at, proposed); !errors.Is(err, errOvertaken) {
			return err
		}
		if w.catchUpIfStale(ctx) == nil && w.state().Generation == at.State.Generation {
			unexplained++
		}
		switch {
		case unexplained == maxUnexplained:
			return err
		case round >= giveUpRounds && time.Since(begun) > giveUpTime:
			return fmt.Errorf("%w: %d other changes came before this one, and nothing is changed: try again: %w", fleet.ErrBusy, round, err)
		}
		turn = p.again
	}
}

const unknownEnd = -1

// isFinal reports whether a change that was refused at a position, or changes nothing there, was worked
// out after all that the log had when it was requested: another server may have written that. End is where
// the log ended after the request. It returns the error to answer with.
func (w *writer) isFinal(ctx context.Context, at *position.Position, end *int64, refused error) (bool, error) {
	if ctx.Err() != nil || errors.Is(refused, fleet.ErrStore) || *end != unknownEnd && at.State.Generation >= *end {
		return true, refused
	}
	var err error
	if *end, err = w.logEnd(ctx, at); err == nil && at.State.Generation < *end {
		err = w.catchUp(ctx)
	} else if err == nil {
		return true, refused
	}
	return err != nil, cmp.Or(refused, err)
}

// catchUpIfStale takes up what the log has, if that may be more than is known.
func (w *writer) catchUpIfStale(ctx context.Context) error {
	if w.stale.Load() {
		return w.catchUp(ctx)
	}
	return nil
}

// commitAt commits a proposal, if the writer is still at a position.
func (w *writer) commitAt(ctx context.Context, work *lock.Work, at *position.Position, p *proposal) error {
	unlock, err := w.metrics.Lock(ctx, work)
	if err != nil {
		return err
	}
	if w.at.Load() == at {
		err = w.commit(ctx, at, p)
	} else {
		err = errOvertaken
	}
	unlock()
	if err != nil {
		return err
	}
	if p.done != nil {
		p.done()
	}
	return p.err
}

// commit makes a change durable and publishes the view that it leads to. It is the only function that
// appends to the log. The caller holds the lock.
//
// The end of the caller's context does not end the append: it would be unknown then whether the change
// was kept.
func (w *writer) commit(ctx context.Context, at *position.Position, p *proposal) error {
	c := p.change
	c.Generation = at.State.Generation + 1
	c.Sort()
	if w.cfg.Store != nil {
		err := w.logLost()
		if err == nil {
			err = withStoreTimeout(context.WithoutCancel(ctx), func(ctx context.Context) error { return w.cfg.Store.Append(ctx, c) })
		}
		if err != nil {
			w.stale.Store(!errors.Is(err, fleet.ErrStoreFull))
			w.metrics.CountStoreError()
			if errors.Is(err, fleet.ErrConflict) {
				err = fmt.Errorf("%w: %w", errOvertaken, err)
			}
			return err
		}
	}
	next := at.After(at.State.Apply(c), w.withoutGroups(c.Releases))
	w.forgetPurged(c)
	w.tokens.Apply(c)
	if c.Kind == fleet.ReleaseFailed {
		w.metrics.CountFailure() // first, so that a failure that is visible is counted
	}
	v := p.next
	if v == nil && at.IsServed() {
		v = at.View
	}
	w.move(next, v)
	return nil
}

// move goes to another position, and serves a view there; nil stands for the one that is served already.
// The caller holds the lock. The metrics come first, so that they are never older than the view.
func (w *writer) move(next *position.Position, v *view.View) {
	var failed, held *fleet.Release
	if r := next.Candidate(); r != nil {
		switch r.State {
		case fleet.Failed:
			failed = r
		case fleet.Held:
			held = r
		default:
		}
	}
	w.status.update(func(s *Status) { s.Failed, s.Held = failed, held })
	w.metrics.SetReleases(failed, held, next.State.Rollout)
	if v != nil {
		next.View = v.At(next.State, next.Releases[v.Live().Ref.ID()])
		w.metrics.SetLive(next.View)
	}
	w.at.Store(next)
	if v != nil {
		signal(w.published)
	}
	w.changed.notify()
}

func (w *writer) forgetPurged(c *fleet.Change) {
	for _, name := range c.Purges() {
		w.polls.Forget(name, c.Generation)
	}
}

// withoutGroups returns releases without the groups of their impacts, if the store has those.
func (w *writer) withoutGroups(releases []*fleet.Release) []*fleet.Release {
	if w.cfg.Store == nil {
		return releases
	}
	short := make([]*fleet.Release, len(releases))
	for i, r := range releases {
		short[i] = r.WithoutGroups()
	}
	return short
}

// logEnd returns the generation at which the log ends, which other servers write too. If it ends before
// what is served here, the database was replaced, and whatever it gets from then on continues another log.
// So the error stays until the process ends.
func (w *writer) logEnd(ctx context.Context, at *position.Position) (end int64, err error) {
	if w.cfg.Store == nil {
		return at.State.Generation, nil
	}
	err = withStoreTimeout(ctx, func(ctx context.Context) (err error) {
		end, err = w.cfg.Store.Generation(ctx)
		return err
	})
	if known := at.State.Generation; err == nil && end < known && w.lost.Load() == nil {
		w.log.Error("change log no longer has what is served; writes are refused until a restart", "generation", known, "log_generation", end)
		w.metrics.SetLogLost()
		lost := fmt.Errorf("change log: %w: generation %d is served, and the log ended at %d: the database was replaced; restore the right one, and start the server again",
			fleet.ErrStore, known, end)
		w.lost.Store(&lost)
	}
	return end, cmp.Or(w.logLost(), err)
}

// logLost returns why the log must not be used any more, or nil.
func (w *writer) logLost() error {
	if lost := w.lost.Load(); lost != nil {
		return *lost
	}
	return nil
}

// isBehind reports whether the log has more than is known here.
func (w *writer) isBehind(ctx context.Context) (bool, error) {
	at, stale := w.at.Load(), w.stale.Load()
	end, err := w.logEnd(ctx, at)
	return err == nil && (stale || !at.Loaded && w.cfg.Store != nil || end != at.State.Generation), err
}
