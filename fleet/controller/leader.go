package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/follow"
	"github.com/tributary-gitops/tributary/fleet/polls"
	"github.com/tributary-gitops/tributary/fleet/tries"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// leader follows the change log, and leads while it holds the lease. It has all the goroutines.
type leader struct {
	*writer
	controller *Controller

	look          chan struct{}         // somebody wants the source to be looked at
	logChanged    chan struct{}         // of capacity 1: the log may have changed
	lookRequested chan struct{}         // of capacity 1: another server wants the leader to look
	candidates    chan fleet.ReleaseRef // of capacity 1: a release that may go live soon
}

// Run takes up what the change log has last, follows it and, while this server leads, the source, until
// ctx ends. It returns nil then. No error of the source ends it, and of the store only one that does not
// let it begin.
func (c *Controller) Run(ctx context.Context) error {
	if err := c.Restore(ctx); err != nil && ctx.Err() == nil {
		return err
	} // Where ctx has ended, polls may have been answered already, which are saved.
	var all sync.WaitGroup
	all.Go(func() { c.leader.listen(ctx) })
	all.Go(func() { c.leader.followLog(ctx) })
	all.Go(func() { c.leader.prefetchAnnounced(ctx) })
	all.Go(func() { c.savePolls(ctx) })
	all.Go(func() { c.lock.Watch(ctx, c.reportSlow) })
	if !c.cfg.ReadOnly {
		c.leader.run(ctx)
	}
	all.Wait()
	return nil
}

// leaseTime is how long a server leads without renewing the lease, and so about how long it takes until
// another server replaces one that has died.
const leaseTime = 3 * time.Second

// run leads whenever no other server does, until ctx ends.
func (l *leader) run(ctx context.Context) {
	if l.cfg.Store == nil {
		l.setLeading(true)
		l.work(ctx)
		return
	}
	for down := false; ctx.Err() == nil; {
		until, looks, err := l.renewLease(ctx)
		if err != nil && !down && ctx.Err() == nil {
			l.log.Warn("this server cannot lead: the lease cannot be requested", "err", err)
		}
		if down = err != nil; time.Now().Before(until) {
			l.runAsLeader(ctx, until, looks)
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.look: // the leader looks
			if err := withTimeout(ctx, leaseTime, l.cfg.Store.RequestLook); err != nil && ctx.Err() == nil {
				l.log.Error("request to look at the source cannot be passed on", "err", err)
			}
		case <-l.lookRequested:
		case <-time.After(leaseTime / 3):
		}
	}
}

// runAsLeader does the work of the leader for as long as the lease is held.
func (l *leader) runAsLeader(ctx context.Context, until time.Time, looks int64) {
	l.setLeading(true)
	l.prefetch.Forget(func(fleet.ReleaseRef) bool { return true }) // the leader announces, and does not prefetch
	l.log.Info("this server leads: it follows the source")
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { l.work(working) })
	for {
		select {
		case <-ctx.Done():
		case <-l.lookRequested:
		case <-time.After(leaseTime / 3):
		}
		if ctx.Err() != nil {
			break
		}
		renewed, requested, err := l.renewLease(ctx)
		if err != nil && ctx.Err() == nil {
			l.log.Debug("lease is not renewed", "err", err)
		}
		if renewed.IsZero() && !time.Now().Before(until.Add(-leaseTime/6)) {
			break
		}
		if !renewed.IsZero() {
			until = renewed
			if requested != looks {
				looks = requested
				signal(l.look)
			}
		}
	}
	stop()
	work.Wait()
	l.setLeading(false)
	l.log.Info("this server does not lead any more")
	l.releaseLease(ctx)
}

func (l *leader) releaseLease(ctx context.Context) {
	err := withTimeout(context.WithoutCancel(ctx), leaseTime, func(ctx context.Context) error { return l.cfg.Store.ReleaseLease(ctx, l.id) })
	if err != nil {
		l.log.Warn("lease is not released, but ends by itself", "err", err)
	}
}

// renewLease takes or renews the lease. It returns until when this server leads at least, by its own
// clock; zero where that is unknown, or another server leads.
func (l *leader) renewLease(ctx context.Context) (until time.Time, looks int64, err error) {
	before := time.Now()
	limited, cancel := context.WithTimeout(ctx, leaseTime/3)
	defer cancel()
	held, looks, err := l.cfg.Store.Lead(limited, l.id, leaseTime)
	if err != nil || !held {
		return time.Time{}, looks, err
	}
	return before.Add(leaseTime), looks, nil
}

// work does what one server does for all, until ctx ends.
func (l *leader) work(ctx context.Context) {
	var all sync.WaitGroup
	if l.cfg.Source != nil {
		all.Go(func() { l.followSource(ctx) })
	}
	all.Go(func() { l.withdrawExpired(ctx) })
	all.Go(func() { l.advanceRollout(ctx) })
	all.Go(func() { l.pruneLog(ctx) })
	all.Wait()
}

func (l *leader) setLeading(leading bool) {
	l.status.update(func(s *Status) { s.Leading = leading })
	l.metrics.SetLeading(leading)
}

// rolloutInterval is how often a rollout is looked at: a small part of the time in which clusters poll.
const rolloutInterval = time.Second

// advanceRollout reaches the next wave of the rollout whenever the present one is through, until ctx ends.
func (l *leader) advanceRollout(ctx context.Context) {
	for down := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rolloutInterval):
		}
		err := l.controller.Advance(ctx)
		if err != nil && !down && ctx.Err() == nil {
			l.log.Error("rollout does not go on", "err", err)
		}
		down = err != nil
	}
}

// pruneLog drops entries of the change log that are older than the retention, until ctx ends.
func (l *leader) pruneLog(ctx context.Context) {
	if l.cfg.Store == nil {
		return
	}
	for ctx.Err() == nil {
		var before time.Time // drops only snapshots that nothing needs any more
		if l.cfg.Retention > 0 {
			before = l.now().Add(-l.cfg.Retention)
		}
		if dropped, err := l.cfg.Store.Prune(ctx, before); err != nil && ctx.Err() == nil {
			l.log.Error("change log is not pruned", "err", err)
		} else if dropped > 0 {
			l.log.Info("change log pruned", "entries", dropped, "before", fmt.Sprint(before))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Hour):
		}
	}
}

// logInterval is how often the log is read for changes of other servers, where they cannot notify.
const logInterval = 500 * time.Millisecond

// followLog takes up what other servers write, until ctx ends.
func (l *leader) followLog(ctx context.Context) {
	if l.cfg.Store == nil {
		return
	}
	caughtUp, running := make(chan error, 1), false
	next := logInterval
	var catching sync.WaitGroup
	defer catching.Wait()
	for down := false; ; {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-l.logChanged:
		case <-time.After(next):
		case err = <-caughtUp:
			running = false
		}
		behind := false
		if err == nil {
			behind, err = l.isBehind(ctx)
		}
		next = logInterval
		switch {
		case !behind:
		case !running && l.catching.TryAcquire(1):
			running = true
			catching.Go(func() {
				defer l.catching.Release(1)
				caughtUp <- l.takeUp(ctx)
			})
		default: // What is new is being rendered. A revoked token must not wait for that.
			err = withStoreTimeout(ctx, func(ctx context.Context) error { return l.tokens.Read(ctx, l.cfg.Store) })
			next = logInterval / 50
		}
		if err != nil && !down && ctx.Err() == nil {
			l.log.Error("change log cannot be followed", "err", err)
		}
		down = err != nil
	}
}

// listen receives notices of other servers, until ctx ends. Where the store cannot notify, the log is
// read nevertheless.
func (l *leader) listen(ctx context.Context) {
	if l.cfg.Store == nil {
		return
	}
	for failures := 1; ; failures++ {
		err := l.cfg.Store.Listen(ctx, l.receive)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.log.Debug("change log does not notify, and is only polled", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(follow.Pause(10*time.Second, failures)):
		}
	}
}

func (l *leader) receive(n fleet.Notice) {
	if !n.Coming.IsZero() {
		select {
		case <-l.candidates: // which another one replaces
		default:
		}
		l.candidates <- n.Coming
		return
	}
	signal(l.logChanged)
	if n.Look {
		signal(l.lookRequested)
	}
}

// savePolls takes up the polls that were saved before, then saves new ones now and then until ctx ends,
// and at last what is left.
func (w *writer) savePolls(ctx context.Context) {
	if w.cfg.Store == nil {
		return
	}
	merge := func() bool {
		return withStoreTimeout(ctx, func(ctx context.Context) error { return w.polls.MergeSaved(ctx, nil) }) == nil
	}
	merged, wait := merge(), polls.SaveInterval
	for down := false; ; {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*polls.SaveInterval)
			defer cancel()
			_ = w.polls.Save(last) // the store may be why the process ends
			return
		case <-time.After(wait):
		}
		err := withStoreTimeout(ctx, w.polls.Save)
		if !merged {
			merged = merge()
		}
		if err != nil && !down && ctx.Err() == nil {
			w.log.Warn("last polls are not saved, so that other servers do not know of them", "err", err)
		}
		down, wait = err != nil, polls.SaveInterval
		if down && w.cfg.ReadOnly {
			wait = polls.ReadOnlyRetryInterval
		}
	}
}

// followSource makes releases of what the source holds, until ctx ends.
func (l *leader) followSource(ctx context.Context) {
	r := l.controller.releaser
	bound := &tries.Bound{Timeout: l.cfg.ReleaseTimeout, Take: r.takeRevision, Refuse: r.refuse, Log: l.log}
	if l.cfg.Store != nil {
		bound.Store = l.cfg.Store.Tries()
	}
	f := &follow.Follower{
		Source: l.cfg.Source, Interval: l.cfg.Interval, Timeout: l.cfg.Timeout, Log: l.log, Requests: l.look,
		Take: bound.Try, Refuse: r.refuse, Fetched: l.metrics.ObserveFetch,
		Looked: func(err error) {
			l.status.update(func(s *Status) {
				if s.SourceError = err; err == nil {
					s.LookedAt = l.cfg.Now()
				}
			})
		},
	}
	f.Run(ctx, l.at.Load().LastSeen())
}

// announce lets the other servers render a release while this one does.
func (w *writer) announce(ctx context.Context, revision string, packed *fleet.Packed) {
	if v := w.served(); v == nil || v.Compiled(fleet.ReleaseRef{Revision: revision, Snapshot: packed.Digest}) != nil {
		return // no server can prefetch it, or every server has it
	}
	err := withStoreTimeout(ctx, func(ctx context.Context) error { return w.cfg.Store.Announce(ctx, revision, packed) })
	if err != nil && ctx.Err() == nil {
		w.log.Debug("release is not announced", "revision", revision, "err", err)
	}
}

// prefetchAnnounced renders what is announced, until ctx ends.
func (l *leader) prefetchAnnounced(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ref := <-l.candidates:
			if !l.status.get().Leading {
				l.prerender(ctx, ref)
			}
		}
	}
}

// prerender renders a release for every cluster, beside what is served.
func (l *leader) prerender(ctx context.Context, ref fleet.ReleaseRef) {
	v := l.served()
	if v == nil || v.Compiled(ref) != nil {
		return
	}
	finish := l.prefetch.Begin(ref)
	next, err := l.prerendered(ctx, ref, v)
	finish(next)
	if err != nil && ctx.Err() == nil {
		l.log.Debug("announced release is not rendered beforehand", "revision", ref.Revision, "err", err)
	}
}

func (l *leader) prerendered(ctx context.Context, ref fleet.ReleaseRef, v *view.View) (*view.View, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ReleaseTimeout)
	defer cancel()
	compiled, err := l.compileStored(ctx, ref, time.Time{})
	if err != nil {
		return nil, err
	}
	known, err := l.loadReleases(ctx, v.State(), view.Releases{ref: compiled})
	if err != nil {
		return nil, err
	}
	known[ref] = compiled
	c := &candidate{compiled: compiled, before: v, state: v.State()}
	plan, err := l.controller.releaser.goLive(c, known)
	if err != nil {
		return nil, err
	}
	next, _, err := view.Build(ctx, plan.State(), compiled, known, view.Options{Renders: &l.renders}, v) // problems are reported once it is live
	return next, err
}

// forgetPrefetched drops a prefetched release that is served by now, held or failed.
func (w *writer) forgetPrefetched() {
	v, candidate := w.served(), w.state().Candidate
	w.prefetch.Forget(func(ref fleet.ReleaseRef) bool { return v.Compiled(ref) != nil || ref == candidate })
}
