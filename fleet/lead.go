package fleet

import (
	"context"
	"sync"
	"time"
)

// leaseTime is how long a server leads without renewing the lease, and so about how
// long it takes until another goes on for one that has died.
const leaseTime = 3 * time.Second

// lead has this server lead whenever no other does, until ctx ends.
func (f *Fleet) lead(ctx context.Context) {
	if f.cfg.Store == nil {
		f.setLeading(true)
		f.work(ctx)
		return
	}
	for down := false; ctx.Err() == nil; {
		until, looks, err := f.renew(ctx)
		if err != nil && !down && ctx.Err() == nil {
			f.log.Warn("this server cannot lead: the lease cannot be asked for", "err", err)
		}
		if down = err != nil; time.Now().Before(until) {
			f.reign(ctx, until, looks)
			continue
		}
		select {
		case <-ctx.Done():
		case <-f.look: // It is the one who leads who looks.
			if err := askFor(ctx, leaseTime, f.cfg.Store.AskLook); err != nil && ctx.Err() == nil {
				f.log.Error("look at the source cannot be passed on", "err", err)
			}
		case <-f.asked:
		case <-time.After(leaseTime / 3):
		}
	}
}

// reign does the work of who leads for as long as the lease is held.
func (f *Fleet) reign(ctx context.Context, until time.Time, looks int64) {
	f.setLeading(true)
	f.ahead.forget(func(releaseKey) bool { return true }) // who leads announces
	f.log.Info("this server leads: it follows the source")
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { f.work(working) })
	for {
		select {
		case <-ctx.Done():
		case <-f.asked:
		case <-time.After(leaseTime / 3):
		}
		if ctx.Err() != nil {
			break
		}
		renewed, asked, err := f.renew(ctx)
		if err != nil && ctx.Err() == nil {
			f.log.Debug("lease is not renewed", "err", err)
		}
		if renewed.IsZero() && !time.Now().Before(until.Add(-leaseTime/6)) {
			break
		}
		if !renewed.IsZero() {
			until = renewed
			if asked != looks {
				looks = asked
				f.Look()
			}
		}
	}
	stop()
	work.Wait()
	f.setLeading(false)
	f.log.Info("this server does not lead any more")
	resigning, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTime)
	defer cancel()
	if err := f.cfg.Store.Resign(resigning, f.id); err != nil {
		f.log.Warn("lease is not given up, but ends by itself", "err", err)
	}
}

// renew takes the lease, or keeps it. It returns until when this server leads at
// least, by its own clock; zero where that is not known, or another does.
func (f *Fleet) renew(ctx context.Context) (until time.Time, looks int64, err error) {
	before := time.Now()
	limited, cancel := context.WithTimeout(ctx, leaseTime/3)
	defer cancel()
	held, looks, err := f.cfg.Store.Lead(limited, f.id, leaseTime)
	if err != nil || !held {
		return time.Time{}, looks, err
	}
	return before.Add(leaseTime), looks, nil
}

// work is what one server does for all, until ctx ends.
func (f *Fleet) work(ctx context.Context) {
	var all sync.WaitGroup
	if f.cfg.Source != nil {
		all.Go(func() { f.watch(ctx) })
		all.Go(func() { f.followSource(ctx) })
	}
	all.Go(func() { f.withdrawExpired(ctx) })
	all.Go(func() { f.rollOut(ctx) })
	all.Go(func() { f.prune(ctx) })
	all.Wait()
}

func (f *Fleet) setLeading(is bool) {
	f.note(func(s *Status) { s.Leading = is })
	f.metrics.leads(is)
}

// holder is who must lead for a change to be kept that only the leader makes.
func (f *Fleet) holder() string {
	if f.cfg.Store == nil {
		return ""
	}
	return f.id
}

// logInterval is how often the log is looked at for changes of other processes,
// where they could not tell of them.
const logInterval = 500 * time.Millisecond

// followLog takes up what other processes write, until ctx ends.
func (f *Fleet) followLog(ctx context.Context) {
	if f.cfg.Store == nil {
		return
	}
	next := logInterval
	for down := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-f.told:
		case <-time.After(next):
		}
		err := error(nil)
		if f.mu.TryLock() {
			_, err = f.upToDate(ctx)
			f.mu.Unlock()
			next = logInterval
		} else { // Whoever writes looks at the log as well, but may take long.
			err = f.readTokens(ctx)
			next = logInterval / 50
		}
		if err != nil && !down && ctx.Err() == nil {
			f.log.Error("change log cannot be followed", "err", err)
		}
		down = err != nil
	}
}

// hear takes up what another server, or this one, told.
func (f *Fleet) hear(n Notice) {
	if n.Coming != "" {
		select {
		case <-f.coming: // which another one comes before
		default:
		}
		f.coming <- releaseKey{n.Coming, n.Snapshot}
		return
	}
	signal(f.told)
	if n.Look {
		signal(f.asked)
	}
}

// listen has the store tell of changes, until ctx ends. Where it cannot, the log is
// looked at all the same.
func (f *Fleet) listen(ctx context.Context) {
	if f.cfg.Store == nil {
		return
	}
	for failures := 1; ; failures++ {
		err := f.cfg.Store.Listen(ctx, f.hear)
		if err == nil || ctx.Err() != nil {
			return
		}
		f.log.Debug("change log does not tell of changes, and is only looked at", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause(10*time.Second, failures)):
		}
	}
}
