package fleet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// Run takes up what the change log has last, follows it and, while this server
// leads, the source, until ctx ends. It returns nil then; no error of the source
// ends it, and of the store only one that lets it not begin.
func (f *Fleet) Run(ctx context.Context) error {
	if err := f.Restore(ctx); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return err
	}
	var others sync.WaitGroup
	others.Go(func() { f.listen(ctx) })
	others.Go(func() { f.followLog(ctx) })
	others.Go(func() { f.getAhead(ctx) })
	others.Go(func() { f.savePolls(ctx) })
	if !f.cfg.ReadOnly {
		f.lead(ctx)
	}
	others.Wait()
	return nil
}

// followSource looks at the source, and releases what is new, until ctx ends.
func (f *Fleet) followSource(ctx context.Context) {
	known := f.lastSeen() // the revision that was last looked at, good or not
	for failures := 0; ctx.Err() == nil; {
		begun := time.Now()
		revision, err := f.lookAtSource(ctx, known)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			f.log.Error("source cannot be followed", "source", f.cfg.Source.String(), "err", err)
		default:
			known, failures = revision, 0
		}
		f.wait(ctx, begun, pause(f.cfg.Interval, failures), retryAfter(err))
	}
}

// served is the revision that is live; empty for none.
func (f *Fleet) served() string {
	if v := f.current.Load(); v != nil {
		return v.base.release.Revision
	}
	return ""
}

// lastSeen is the newest revision that the log knows what became of; empty for none,
// and where that failed, since it may be good by now.
func (f *Fleet) lastSeen() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.head.releases[f.head.candidate()]; c != nil {
		if c.State == Failed {
			return ""
		}
		return c.Revision
	}
	if r := f.head.rollout(); r != nil {
		return r.Release.Revision
	}
	return f.served()
}

// wait returns when it is time to look again after the look that began then: when that was
// asked for, or after a pause. A host that wants to be left alone is, whoever asks.
func (f *Fleet) wait(ctx context.Context, begun time.Time, pause, alone time.Duration) {
	if alone > 0 {
		alone += time.Duration(rand.Float64() * 0.1 * float64(alone))
		select {
		case <-ctx.Done():
			return
		case <-time.After(alone):
		}
		pause -= alone
	}
	select {
	case <-ctx.Done():
	case <-f.look:
		f.gather(ctx, time.Until(begun.Add(burst)))
	case <-time.After(pause):
	}
}

// burst is how far apart looks begin that were asked for: one push can cause a webhook
// for each branch and tag, and a registry tells of each layer. The first of them has the
// source looked at at once, and all others that come within that time once more.
const burst = 100 * time.Millisecond

// gather lets requests for a look that come until then become one.
func (f *Fleet) gather(ctx context.Context, until time.Duration) {
	if until <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(until):
	}
	select {
	case <-f.look:
	default: // there was but one
	}
}

// watch lets the source tell of changes. Where it cannot, polling goes on and
// watching is tried again: what it lacks may be given back.
func (f *Fleet) watch(ctx context.Context) {
	for failures := 1; ; failures++ {
		err := f.cfg.Source.Watch(ctx, f.Look)
		if err == nil || ctx.Err() != nil {
			return
		}
		f.log.Warn("source is not watched, only polled", "err", err, "interval", f.cfg.Interval)
		select {
		case <-ctx.Done():
		case <-time.After(pause(f.cfg.Interval, failures)):
		}
	}
}

// pause is the time until the next look: the interval, or after failures a
// second that doubles up to it. Both have a tenth of jitter either way, so that
// servers that were started together do not look together.
func pause(interval time.Duration, failures int) time.Duration {
	wait := interval
	if failures > 0 {
		wait = min(interval, time.Second<<min(failures-1, 16))
	}
	return wait + time.Duration((rand.Float64()-0.5)*0.2*float64(wait))
}

// lookAtSource looks once and releases what is new. It returns the revision that
// the source is at.
func (f *Fleet) lookAtSource(ctx context.Context, known string) (string, error) {
	start := time.Now()
	snapshot, err := f.fetch(ctx, known)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		err = nil // the source answered; what it holds is the fault
	}
	f.metrics.fetched(time.Since(start), err)
	f.looked(err)
	switch {
	case err != nil:
		return "", err
	case refused != nil:
		return "", f.refuse(ctx, refused) // asked for anew: it has no snapshot to be compared with
	case snapshot == nil:
		return known, nil
	}
	if err := f.release(ctx, snapshot); err != nil {
		f.looked(err)
		return "", err
	}
	return snapshot.Revision, nil
}

// looked notes how a look at the source went.
func (f *Fleet) looked(err error) {
	f.note(func(s *Status) {
		s.SourceError = err
		if err == nil {
			s.LookedAt = f.cfg.Now()
		}
	})
}

// fetch asks the source. What it makes of hostile bytes must not end the process,
// and with it the polls that are answered meanwhile.
func (f *Fleet) fetch(ctx context.Context, known string) (s *Snapshot, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	defer func() {
		if reason := recover(); reason != nil {
			f.log.Error("panic", "cause", reason, "stack", string(debug.Stack()))
			s, err = nil, fmt.Errorf("the source holds what Tributary panics on: %v; please report it, with the log", reason)
		}
	}()
	return f.cfg.Source.Fetch(ctx, known)
}
