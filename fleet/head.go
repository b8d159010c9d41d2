package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// head is where the change log is: what the next change comes after. A view has
// the same, but there may be none for what the log says.
type head struct {
	state
	live *Change // nil before the first release
	// releases are the live one, that of the rollout and the candidate, by ID.
	releases map[string]*Release
	// read is true once the log has been.
	read bool
	// behind is true where the log may hold more than is known here: an Append
	// whose end was not heard, or a change of another process.
	behind bool
}

// storeTime is how long one access to the store may take, which the writer's
// lock is held for.
const storeTime = 30 * time.Second

// extraTime is how long it may take to add what an answer can do without.
const extraTime = 2 * time.Second

// Restore takes up where the change log ends, and serves what was served then.
// Run does so too; call it before to know when polls can be answered.
func (f *Fleet) Restore(ctx context.Context) error {
	if f.cfg.Store == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head.read && !f.head.behind {
		return nil
	}
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	// Others went on while the release was compiled and rendered. Who was answered by
	// them must not be answered with less here. Where that cannot be asked any more, what
	// is served is good enough to begin with.
	for range restoreTries {
		if moved, err := f.upToDate(ctx); !moved || err != nil {
			return nil
		}
	}
	return nil
}

// restoreTries is how often the log is looked at for more. One look takes as long as
// what it brings, so that after the first there is little left, but for a release.
const restoreTries = 10

// catchUp takes up what the log says, and serves it. The caller holds mu.
func (f *Fleet) catchUp(ctx context.Context) error {
	from := f.head.generation
	p, whole, err := f.readLog(ctx)
	if err != nil {
		return err
	}
	if v := f.current.Load(); !whole && v != nil && v.generation == from && p.lineup == nil && len(p.pins) == 0 && !p.staying() {
		err = f.serveChanges(ctx, v, p)
	} else if err = f.serveHead(ctx, v); err == nil {
		f.caughtUp()
	}
	f.head.behind = err != nil
	return err
}

// readLog moves the head to the end of the log. It returns what has changed on the
// way, as one plan, or that the whole log was read. The caller holds mu.
func (f *Fleet) readLog(ctx context.Context) (p plan, whole bool, err error) {
	if f.head.read {
		p, err = f.readOn(ctx)
		if !errors.Is(err, ErrNotFound) {
			return p, false, err
		}
	}
	var log *LogState
	err = ask(ctx, func(ctx context.Context) (err error) {
		log, err = f.cfg.Store.Load(ctx)
		return err
	})
	if err != nil {
		return plan{}, false, err
	}
	if log.Generation < f.head.generation {
		return plan{}, false, fmt.Errorf("change log: %w: it ends at generation %d, and %d is served: it was replaced; put the right one back, or start anew",
			ErrStore, log.Generation, f.head.generation)
	}
	f.head = head{state: stateOf(log), live: log.Live, read: true}
	f.setReleases(log.Releases)
	f.setTokens(log.Generation, func(*TokenSet) *TokenSet { return newTokenSet(log.Tokens, f.marks) })
	return plan{}, true, nil
}

// readOn reads what came after the head.
func (f *Fleet) readOn(ctx context.Context) (plan, error) {
	var later *LogChanges
	err := ask(ctx, func(ctx context.Context) (err error) {
		later, err = f.cfg.Store.Since(ctx, f.head.generation)
		return err
	})
	if err != nil {
		return plan{}, err
	}
	var p plan
	for i := range later.Changes {
		c := &later.Changes[i]
		p.changes, p.records, p.pins = append(p.changes, c.Deltas...), append(p.records, c.Records...), append(p.pins, c.Pins...)
		if c.Release != nil {
			p.lineup = later.Lineup
		}
		f.moveHead(c)
	}
	f.head.state = f.head.moved(later.Lineup)
	f.setReleases(later.Releases)
	f.setTokens(f.head.generation, func(s *TokenSet) *TokenSet { return s.with(later.Tokens, f.marks) })
	return p, nil
}

// serveHead has the head served, whatever is served now.
func (f *Fleet) serveHead(ctx context.Context, v *View) error {
	live := f.head.live
	if live == nil || f.cfg.Renderer == nil {
		return nil
	}
	b, err := f.revive(ctx, live.Release.key(), live.At)
	if errors.Is(err, errLost) {
		f.log.Error("live release cannot be taken up again; waiting for the source", "revision", live.Release.Revision, "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	return f.serveBase(ctx, b, v)
}

// serveChanges serves what other servers have changed since a view.
func (f *Fleet) serveChanges(ctx context.Context, v *View, p plan) error {
	thawed := v.clone()
	if err := f.thaw(ctx, thawed, f.head.state); err != nil {
		return err
	}
	next, names := thawed.planned(p)
	problems, err := next.render(ctx, next.placesOf(names), nil)
	if err == nil && len(problems.Faults()) > 0 {
		err = problems.Faults()
	}
	if err != nil {
		return err
	}
	next.state = f.head.state
	f.publish(next)
	return nil
}

// serveBase serves a release with the state of the head.
func (f *Fleet) serveBase(ctx context.Context, b *base, earlier *View) error {
	next := &View{base: b, marks: f.marks, bases: earlier.adding(b), state: f.head.state}
	if err := f.thaw(ctx, next, next.state); err != nil {
		return err
	}
	// What was made ready comes first: who has changed since is in neither.
	problems, err := next.render(ctx, next.seatAll(f.ahead.of(ctx, b.key()), earlier), nil)
	if err != nil {
		return err
	}
	if next.isPartial() {
		// Another version rendered it for everybody. Whom this one can serve it does.
		problems = append(problems, b.repo.Problems()...).Sort()
		f.log.Error("release is not good for some clusters with this version of Tributary; they are not served",
			"revision", b.release.Revision, "clusters", len(next.failing()), "err", strings.ReplaceAll(problems.Faults().Error(), "\n", "; "))
		next.lose()
	}
	f.publish(next)
	f.log.Info("release is taken up", "revision", b.release.Revision, "generation", next.generation, "clusters", next.members.count)
	return nil
}

// isPartial tells whether a cluster has no rendering, be its own fault told or that
// of the part of the tree that it depends on.
func (v *View) isPartial() bool {
	return v.members.some(func(m *Member) bool { return m.lost == nil && m.Counts == nil })
}

// lose has clusters without a rendering known, and not served.
func (v *View) lose() {
	var places []int
	var lost []*Member
	for place, m := range v.members.all() {
		if m.lost == nil && m.Counts == nil {
			places, lost = append(places, place), append(lost, m.loses())
		}
	}
	v.members = v.members.with(places, lost)
}

// ask gives the store storeTime to do something. That it takes longer is the
// store's fault, and not that of the one who asked.
func ask(ctx context.Context, do func(ctx context.Context) error) error {
	return askFor(ctx, storeTime, do)
}

// askFor gives it as long as limit.
func askFor(ctx context.Context, limit time.Duration, do func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := do(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("%w: no answer within %s: %s", ErrStore, limit, err.Error())
	}
	return err
}

// append makes a change durable as the next one, and moves the head. The caller
// holds mu. That the one who asked has gone away does not end it, since nobody
// could tell then whether it was kept.
func (f *Fleet) append(ctx context.Context, c *Change) error {
	c.Generation = f.head.generation + 1
	if f.cfg.Store != nil {
		err := ask(context.WithoutCancel(ctx), func(ctx context.Context) error { return f.cfg.Store.Append(ctx, c) })
		if err != nil {
			f.head.behind = !errors.Is(err, ErrStoreFull)
			f.metrics.storeErrors.Inc()
			if errors.Is(err, ErrConflict) {
				err = fmt.Errorf("%w: %w", errOvertaken, err)
			}
			return err
		}
	}
	f.moveHead(c)
	f.moved.ring()
	if len(c.Tokens) > 0 {
		f.setTokens(c.Generation, func(s *TokenSet) *TokenSet { return s.with(changed(c.Tokens), f.marks) })
	}
	return nil
}

// moveHead moves it past the next change.
func (f *Fleet) moveHead(c *Change) {
	f.head.state = f.head.with(c)
	f.head.generation = c.Generation
	if c.Kind == WentLive {
		f.head.live = c
	}
	if c.Lineup != nil || c.Kind == WentLive || len(c.Releases) > 0 {
		f.setReleases(slices.Concat(slices.Collect(maps.Values(f.head.releases)), c.Releases))
	}
	for _, r := range c.Records {
		if r.Purged() {
			f.marks.forget(r.Cluster)
		}
	}
}

// setReleases keeps those of a list, later ones first, that the fleet is on or goes
// to, and that it does not go to.
func (f *Fleet) setReleases(all []*Release) {
	byID := map[string]*Release{}
	for _, r := range all {
		if f.cfg.Store != nil && r.Impact != nil && r.Impact.Groups != nil {
			r = r.withoutGroups() // the store has them, and another server's head does not
		}
		byID[r.ID] = r
	}
	kept := map[string]*Release{}
	keep := func(id string) {
		if r := byID[id]; r != nil {
			kept[id] = r
		}
	}
	if f.head.live != nil {
		keep(releaseID(f.head.live.Release.Revision))
	}
	if r := f.head.rollout(); r != nil {
		keep(releaseID(r.Release.Revision))
	}
	keep(f.head.candidate())
	f.head.releases = kept
	f.tellReleases()
}

// tellReleases has the status and the metrics say which releases are not what the
// fleet goes to.
func (f *Fleet) tellReleases() {
	var failed, waiting *Release
	if r := f.head.releases[f.head.candidate()]; r != nil {
		switch r.State {
		case Failed:
			failed = r
		case Held:
			waiting = r
		}
	}
	f.note(func(s *Status) { s.Failed, s.Held, s.releases = failed, waiting, f.head.releases })
	f.metrics.released(failed, waiting, f.head.rollout())
}

// upToDate makes sure that the head is that of the log, which another process may
// write too, and tells whether it was not. The caller holds mu.
func (f *Fleet) upToDate(ctx context.Context) (moved bool, err error) {
	if f.cfg.Store == nil {
		return false, nil
	}
	var last int64
	err = ask(ctx, func(ctx context.Context) (err error) {
		last, err = f.cfg.Store.Generation(ctx)
		return err
	})
	if err != nil || last == f.head.generation && !f.head.behind {
		return false, err
	}
	before := f.head.generation
	err = f.catchUp(ctx)
	return err == nil && f.head.generation != before, err
}

// publish has polls answered with a view from now on. Metrics come first, so that
// whoever sees the view does not find those of the one before.
func (f *Fleet) publish(v *View) {
	v.release = f.head.releases[v.base.release.ID]
	f.metrics.published(v)
	f.current.Store(v)
	signal(f.written)
	f.moved.ring()
}
