// Package follow looks at a source: at intervals, when the source notices a change by itself, and
// when somebody asks.
//
//	f := &follow.Follower{Source: source, Interval: time.Minute, Take: take, …}
//	f.Run(ctx, known)       // until ctx ends
//	f.Requests <- struct{}{} // asks for a look
//
// What it finds it hands to Take, one snapshot at a time. Where that takes long and the source moves on
// meanwhile, it ends that Take's context and takes the newer snapshot. It keeps nothing and decides
// nothing: a snapshot that was taken is not fetched again, and one that was not is fetched at the next
// look.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Follower follows one source.
type Follower struct {
	Source fleet.Source
	// Interval is how often the source is looked at, and Timeout limits one look.
	Interval, Timeout time.Duration
	Log               *slog.Logger
	// Requests, of capacity 1, ask for a look.
	Requests chan struct{}
	// Take makes a release of a snapshot. Where it fails, the snapshot is fetched again. The cause of
	// its context's end is ErrMovedOn where a newer snapshot is there.
	Take func(ctx context.Context, s *fleet.Snapshot) error
	// Refuse records a revision that cannot be made into a snapshot.
	Refuse func(ctx context.Context, refused *fleet.RefusedError) error
	// Fetched is called after each look at the source, and Looked with what became of the look.
	Fetched func(took time.Duration, err error)
	Looked  func(err error)

	// patience is how long a Take may take before a newer snapshot ends it.
	patience time.Duration
}

// ErrMovedOn reports that the source has a newer snapshot than the one that is taken.
var ErrMovedOn = errors.New("the source has moved on to a newer revision")

// minPatience is how long a Take may take at first, though the source has moved on. It doubles with
// each Take that is ended, up to maxPatience, until one is through: else nothing would go live where
// snapshots come faster than they are taken.
const minPatience, maxPatience = 15 * time.Second, time.Hour

// Run looks at the source, and takes what is new, until ctx ends. Known is the revision that was
// looked at last, valid or not; empty for none.
func (f *Follower) Run(ctx context.Context, known string) {
	var watching sync.WaitGroup
	watching.Go(func() { f.watch(ctx) })
	defer watching.Wait()
	for failures := 0; ctx.Err() == nil; {
		begun := time.Now()
		revision, err := f.look(ctx, known)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			f.Log.Error("source cannot be followed", "source", f.Source.String(), "err", err)
		default:
			known, failures = revision, 0
		}
		f.wait(ctx, begun, Pause(f.Interval, failures), fleet.RetryAfter(err))
	}
}

// wait returns when it is time for the look after the one that began then: when somebody asks for it,
// or after a pause. A host that asks for a pause gets it, also when a look is requested.
func (f *Follower) wait(ctx context.Context, begun time.Time, pause, retryAfter time.Duration) {
	if retryAfter > 0 {
		retryAfter += time.Duration(rand.Float64() * 0.1 * float64(retryAfter))
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
		pause -= retryAfter
	}
	select {
	case <-ctx.Done():
	case <-f.Requests:
		f.gather(ctx, time.Until(begun.Add(burst)))
	case <-time.After(pause):
	}
}

// burst is how far apart looks begin that are asked for. One push can cause a webhook for each branch
// and tag, and a registry sends one for each layer. The first of them causes a look at once, and all
// others within that time cause one more.
const burst = 100 * time.Millisecond

// gather makes one look of the requests within some time.
func (f *Follower) gather(ctx context.Context, wait time.Duration) {
	if wait <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	select {
	case <-f.Requests:
	default: // there was only one
	}
}

// watch lets the source notify of changes. Where it cannot, polling goes on, and watching is tried
// again.
func (f *Follower) watch(ctx context.Context) {
	request := func() {
		select {
		case f.Requests <- struct{}{}:
		default:
		}
	}
	for failures := 1; ; failures++ {
		err := f.Source.Watch(ctx, request)
		if err == nil || ctx.Err() != nil {
			return
		}
		f.Log.Warn("source is not watched, only polled", "err", err, "interval", f.Interval)
		select {
		case <-ctx.Done():
		case <-time.After(Pause(f.Interval, failures)):
		}
	}
}

// Pause returns the time until the next try: the interval, or after failures a second that doubles up
// to it. It has a tenth of jitter either way, so that servers that were started together do not try
// together.
func Pause(interval time.Duration, failures int) time.Duration {
	wait := interval
	if failures > 0 {
		wait = min(interval, time.Second<<min(failures-1, 16))
	}
	return wait + time.Duration((rand.Float64()-0.5)*0.2*float64(wait))
}

// look looks once and takes what is new. It returns the revision that the source is at; empty for one
// that was refused, since there is no snapshot that the next look could be compared with.
func (f *Follower) look(ctx context.Context, known string) (string, error) {
	start := time.Now()
	snapshot, err := f.fetch(ctx, known)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var refused *fleet.RefusedError
	if errors.As(err, &refused) {
		err = nil // the source answered; what it holds has the fault
	}
	f.Fetched(time.Since(start), err)
	f.Looked(err)
	switch {
	case err != nil:
		return "", err
	case refused != nil:
		return "", f.Refuse(ctx, refused)
	case snapshot == nil:
		return known, nil
	}
	return f.takeNewest(ctx, snapshot)
}

// takeNewest takes a snapshot, or the newest that the source has by the time that one is through. It
// returns the revision of the one that was taken.
func (f *Follower) takeNewest(ctx context.Context, s *fleet.Snapshot) (string, error) {
	f.patience = max(f.patience, minPatience)
	for {
		newer, err := f.takeUnlessMoved(ctx, s)
		if newer == nil {
			f.patience = minPatience
			if err != nil {
				f.Looked(err)
				return "", err
			}
			return s.Revision, nil
		}
		f.patience = min(2*f.patience, maxPatience)
		f.Log.Warn("release is given up: the source has moved on", "revision", s.Revision, "newer", newer.Revision)
		s = newer
	}
}

// takeUnlessMoved takes a snapshot. Where it has not been taken once the patience is at an end, and
// the source has a newer one, it gives up and returns that.
func (f *Follower) takeUnlessMoved(ctx context.Context, s *fleet.Snapshot) (newer *fleet.Snapshot, err error) {
	taking, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	done := make(chan error, 1)
	go func() { done <- f.Take(taking, s) }()
	for next := time.After(f.patience); newer == nil; {
		select {
		case err := <-done:
			return nil, err
		case <-next:
		}
		newer = f.lookBeside(ctx, s.Revision)
		select {
		case err := <-done:
			return nil, err
		default:
		}
		if newer == nil {
			next = time.After(min(f.patience, Pause(f.Interval, 0)))
		}
	}
	giveUp(ErrMovedOn)
	if err := <-done; err == nil || ctx.Err() != nil { // it was through, or all ends
		return nil, err
	}
	return newer, nil
}

// lookBeside returns what the source holds other than a revision that is being taken, or nil. The next
// look reports what is wrong with the source.
func (f *Follower) lookBeside(ctx context.Context, revision string) *fleet.Snapshot {
	start := time.Now()
	snapshot, err := f.fetch(ctx, revision)
	if err != nil {
		return nil
	}
	f.Fetched(time.Since(start), nil)
	return snapshot
}

// fetch asks the source. What it makes of hostile bytes must not end the process, and with it the
// polls that are answered meanwhile.
func (f *Follower) fetch(ctx context.Context, known string) (s *fleet.Snapshot, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	defer func() {
		if reason := recover(); reason != nil {
			f.Log.Error("panic", "cause", reason, "stack", string(debug.Stack()))
			s, err = nil, fmt.Errorf("what the source holds makes Tributary panic: %v; please report it, with the log", reason)
		}
	}()
	return f.Source.Fetch(ctx, known)
}
