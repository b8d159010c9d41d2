package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/position"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// restoreTries is how often Restore looks for more. One look takes as long as what it brings, so
// that after the first there is little left, but for a release.
const restoreTries = 10

// Restore takes up where the change log ends, and serves what was served then. Run does so too; call
// it before to know when polls can be answered.
func (w *writer) Restore(ctx context.Context) error {
	if w.cfg.Store == nil || w.at.Load().Loaded && !w.stale.Load() {
		return nil
	}
	if err := w.catchUp(ctx); err != nil {
		return err
	}
	// Other servers went on while the release was compiled and rendered. A cluster that they
	// answered must not be answered with less here. Where the log cannot be read any more, what is
	// served is good enough to begin with.
	for range restoreTries {
		if behind, err := w.isBehind(ctx); !behind || err != nil {
			return nil
		}
		if err := w.catchUp(ctx); err != nil {
			return nil
		}
	}
	return nil
}

// catchUp takes up what the log says, and serves it, unless another goroutine just did.
func (w *writer) catchUp(ctx context.Context) error {
	if err := w.catching.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.catching.Release(1)
	if behind, err := w.isBehind(ctx); !behind {
		return err
	}
	return w.takeUp(ctx)
}

// takeUp takes up what the log says, and serves it. What is new is rendered before the lock is taken.
// The caller holds catching, so that only a commit may come between.
func (w *writer) takeUp(ctx context.Context) (err error) {
	work := w.lock.Begin(fleet.OwnActor, "take up what the change log has")
	defer work.End()
	w.stale.Store(false) // first: an append may fail meanwhile
	defer func() {
		if err != nil {
			w.stale.Store(true)
		}
	}()
	for {
		at := w.at.Load()
		next, changes, err := w.readLog(ctx, at)
		if err != nil {
			return err
		}
		v, whole, err := w.serve(ctx, at, next, changes)
		if err != nil {
			return err
		}
		if err := work.Lock(ctx); err != nil {
			return err
		}
		here := w.at.Load() == at
		if here {
			w.move(next, v)
		}
		work.Unlock()
		if here && whole && v != nil {
			w.log.Info("release is loaded", "revision", v.Live().Ref.Revision, "generation", next.State.Generation, "clusters", len(v.Members()))
			w.forgetPrefetched()
		}
		if here {
			return nil
		}
	}
}

// readLog returns the position at the end of the log, and the changes on the way there; none where the
// whole log was read.
func (w *writer) readLog(ctx context.Context, at *position.Position) (*position.Position, []fleet.Change, error) {
	if at.Loaded {
		next, changes, err := w.readSince(ctx, at)
		if !errors.Is(err, fleet.ErrNotFound) {
			return next, changes, err
		}
	}
	var log *fleet.LogState
	err := withStoreTimeout(ctx, func(ctx context.Context) (err error) {
		log, err = w.cfg.Store.Load(ctx)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if log.Generation < at.State.Generation {
		_, err := w.logEnd(ctx, at) // it says why
		return nil, nil, cmp.Or(err, fmt.Errorf("change log: %w: it ended before what is served", fleet.ErrStore))
	}
	w.tokens.Update(log.Generation, func(*credential.Set) *credential.Set { return credential.NewSet(log.Tokens) })
	whole := &position.Position{State: fleet.NewState(log), View: at.View, Loaded: true}
	return whole.After(whole.State, w.withoutGroups(log.Releases)), nil, nil
}

func (w *writer) readSince(ctx context.Context, at *position.Position) (*position.Position, []fleet.Change, error) {
	later, err := read(ctx, storeTimeout, w.cfg.Store.Since, at.State.Generation)
	if err != nil {
		return nil, nil, err
	}
	state, releases := at.State, slices.Clone(later.Releases)
	for i := range later.Changes {
		state = state.Apply(&later.Changes[i])
		w.forgetPurged(&later.Changes[i])
	}
	w.tokens.Update(state.Generation, func(s *credential.Set) *credential.Set { return s.With(later.Tokens) })
	return at.After(state, w.withoutGroups(releases)), later.Changes, nil
}

// serve returns the view to serve at the next position; nil where there is none. It reports whether a
// release was loaded for it.
func (w *writer) serve(ctx context.Context, at, next *position.Position, changes []fleet.Change) (v *view.View, whole bool, err error) {
	wentLive := slices.ContainsFunc(changes, func(c fleet.Change) bool { return c.Kind == fleet.WentLive })
	if at.IsServed() && !wentLive && next.State.Generation == at.State.Generation+int64(len(changes)) {
		var faults fleet.Problems
		if v, err = w.serveChanges(ctx, at.View, next.State, changes); !errors.As(err, &faults) {
			return v, false, err
		}
	}
	v, err = w.serveState(ctx, at.View, next.State)
	return v, true, err
}

// serveState returns the view of a state, whatever is served now.
func (w *writer) serveState(ctx context.Context, v *view.View, s *fleet.State) (*view.View, error) {
	if s.Live == nil || w.cfg.Renderer == nil {
		return nil, nil
	}
	live, err := w.loadRelease(ctx, s.Live.ReleaseRef, s.Live.At)
	if errors.Is(err, fleet.ErrUnavailable) {
		w.log.Error("live release cannot be loaded; waiting for the source", "revision", s.Live.Revision, "err", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	compiled, err := w.loadReleases(ctx, s, view.Releases{live.Ref: live})
	if err != nil {
		return nil, err
	}
	// What was rendered beforehand comes first: clusters that changed since are in neither view.
	next, problems, err := view.Build(ctx, s, live, compiled, view.Options{Renders: &w.renders}, w.prefetch.Get(ctx, live.Ref), v)
	if err != nil {
		return nil, err
	}
	if failing := next.Failing(); len(failing) > 0 {
		// Another version rendered it for all clusters. The ones that this version can render are served.
		problems = append(problems, live.Repo.Problems()...).Sort()
		w.log.Error("release is not valid for some clusters with this version of Tributary; they are not served",
			"revision", live.Ref.Revision, "clusters", len(failing), "err", oneLine(problems.Faults()))
		next = next.MarkUnavailable()
	}
	return next, nil
}

// serveChanges returns the view of a state, with what other servers changed since a view. Its error is
// Problems where this version cannot render it.
func (w *writer) serveChanges(ctx context.Context, v *view.View, s *fleet.State, changes []fleet.Change) (*view.View, error) {
	compiled, err := w.loadReleases(ctx, s, v.Releases())
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for i := range changes {
		c := &changes[i]
		maps.Copy(names, v.Affected(c.Deltas))
		for _, r := range c.Records {
			names[r.Cluster] = true
		}
		for _, a := range c.Assignments {
			names[a.Cluster] = true
		}
		if c.Rollout != nil && c.Rollout.Progress == nil {
			maps.Copy(names, notServed(v)) // Of some, only the rollout's file says what they are.
		}
	}
	next, problems, err := v.Next(ctx, s, compiled, slices.Sorted(maps.Keys(names)))
	if err == nil && len(problems.Faults()) > 0 {
		err = problems.Faults()
	}
	return next, err
}

// notServed returns the names of the clusters whose polls are answered 503.
func notServed(v *view.View) map[string]bool {
	names := map[string]bool{}
	for _, m := range v.Members() {
		if m.Unavailable() != nil {
			names[m.Cluster.Name] = true
		}
	}
	return names
}

// loadReleases returns the releases that a state needs, from those that are known or the store. One
// that is unavailable is left out and logged: its clusters are answered 503.
func (w *writer) loadReleases(ctx context.Context, s *fleet.State, known view.Releases) (view.Releases, error) {
	compiled := view.Releases{}
	for ref, user := range s.ReleasesInUse() {
		c := cmp.Or(known[ref], w.served().Compiled(ref))
		if c == nil {
			var err error
			c, err = w.loadRelease(ctx, ref, time.Time{})
			if errors.Is(err, fleet.ErrUnavailable) {
				w.log.Error("release cannot be loaded", "for", user, "err", err)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		compiled[ref] = c
	}
	return compiled, nil
}

// loadRelease returns a compiled release: the one that is served, the one that was prefetched, or
// one compiled from its snapshot. It is an ErrUnavailable where trying again will not help.
func (w *writer) loadRelease(ctx context.Context, ref fleet.ReleaseRef, at time.Time) (*fleet.Compiled, error) {
	if c := w.served().Compiled(ref); c != nil {
		return c, nil
	}
	if v := w.prefetch.Get(ctx, ref); v != nil {
		return v.Live(), nil
	}
	return w.compileStored(ctx, ref, at)
}

func (w *writer) compileStored(ctx context.Context, ref fleet.ReleaseRef, at time.Time) (*fleet.Compiled, error) {
	unavailable := func(err error) error {
		return fmt.Errorf("release of %s: %w: %w", ref.Revision, fleet.ErrUnavailable, err)
	}
	if w.cfg.Store == nil {
		return nil, unavailable(errors.New("nothing is stored"))
	}
	packed, err := read(ctx, storeTimeout, w.cfg.Store.Snapshot, ref.Snapshot)
	if errors.Is(err, fleet.ErrStore) || ctx.Err() != nil {
		return nil, cmp.Or(err, ctx.Err())
	}
	if err != nil {
		return nil, unavailable(err)
	}
	tree, err := w.cfg.Archive.Unpack(ctx, packed)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return fleet.Compile(ctx, w.cfg.Renderer, &fleet.Snapshot{Revision: ref.Revision, Tree: tree}, ref.Snapshot, at)
}
