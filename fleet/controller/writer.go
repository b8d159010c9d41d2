package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/metrics"
	"github.com/tributary-gitops/tributary/fleet/controller/prefetch"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/polls"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// writer appends to the change log and publishes views. It has the only lock that changes wait for.
//
// While mu is held, and only then, the cursor and the view are replaced, the cursor first. Both are
// immutable and may be read at any time. The view is of the cursor's state, unless that cannot be
// served here: it stays as it was then, or nil.
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
	tokens    tokenHolder

	mu      sync.Mutex
	current atomic.Pointer[view.View] // nil until something is served
	cursor  atomic.Pointer[cursor]
}

// cursor is where the change log is, as far as it is known here: the next change comes after it.
type cursor struct {
	state *fleet.State
	// releases are the live one, that of the rollout and the candidate, by ID.
	releases map[string]*fleet.Release
	// loaded is true once the log has been read.
	loaded bool
	// stale is true where the log may hold more than is known here: an append whose end was not
	// heard, or a change of another server that could not be taken up.
	stale bool
}

// state returns the state at the cursor.
func (w *writer) state() *fleet.State { return w.cursor.Load().state }

// release returns a release that the cursor has, or nil.
func (w *writer) release(id string) *fleet.Release { return w.cursor.Load().releases[id] }

// candidate returns the newest release that the fleet is not going to, or nil.
func (w *writer) candidate() *fleet.Release { return w.release(w.state().Candidate.ID()) }

func (w *writer) setCursor(change func(c *cursor)) {
	next := *w.cursor.Load()
	change(&next)
	w.cursor.Store(&next)
}

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

// commit makes a change durable and publishes the view that it leads to: next, or the present view
// where next is nil, which differs in nothing but the generation. It is the only function that
// appends and publishes. The caller holds mu.
//
// The end of the caller's context does not end the append: it would be unknown then whether the change
// was kept.
func (w *writer) commit(ctx context.Context, c *fleet.Change, next *view.View) error {
	before := w.state().Generation
	c.Generation = before + 1
	c.Sort()
	if w.cfg.Store != nil {
		err := withStoreTimeout(context.WithoutCancel(ctx), func(ctx context.Context) error { return w.cfg.Store.Append(ctx, c) })
		if err != nil {
			w.setCursor(func(c *cursor) { c.stale = !errors.Is(err, fleet.ErrStoreFull) })
			w.metrics.CountStoreError()
			if errors.Is(err, fleet.ErrConflict) {
				err = fmt.Errorf("%w: %w", errOvertaken, err)
			}
			return err
		}
	}
	w.advance(c)
	w.tokens.apply(c)
	if v := w.current.Load(); next == nil && v != nil && v.Generation() == before {
		next = v
	}
	if next == nil {
		w.changed.notify()
		return nil
	}
	w.publish(next)
	return nil
}

// advance moves the cursor past the next change.
func (w *writer) advance(c *fleet.Change) {
	w.setCursor(func(now *cursor) { now.state = now.state.Apply(c) })
	if c.Rollout != nil || c.Candidate != nil || len(c.Releases) > 0 {
		w.setReleases(append(slices.Collect(maps.Values(w.cursor.Load().releases)), c.Releases...))
	}
	for _, r := range c.Records {
		if r.Purged() {
			w.polls.Forget(r.Cluster, c.Generation)
		}
	}
}

// publish serves a view from now on, at the generation of the cursor. The metrics come first, so that
// the metrics are never older than the view.
func (w *writer) publish(v *view.View) {
	v = v.At(w.state(), w.release(v.Live().Ref.ID()))
	w.metrics.SetLive(v)
	w.current.Store(v)
	signal(w.published)
	w.changed.notify()
}

// setReleases keeps those of a list that the state names, the last one of each ID, and updates
// status and metrics.
func (w *writer) setReleases(all []*fleet.Release) {
	byID := map[string]*fleet.Release{}
	for _, r := range all {
		if w.cfg.Store != nil && r.Impact != nil && r.Impact.Groups != nil {
			r = withoutGroups(r) // the store has them
		}
		byID[r.ID] = r
	}
	s := w.state()
	kept := map[string]*fleet.Release{}
	keep := func(ref fleet.ReleaseRef) *fleet.Release {
		r := byID[ref.ID()]
		if r != nil {
			kept[r.ID] = r
		}
		return r
	}
	keep(s.LiveRef())
	if s.Rollout != nil {
		keep(s.Rollout.Release)
	}
	var failed, held *fleet.Release
	if r := keep(s.Candidate); r != nil {
		switch r.State {
		case fleet.Failed:
			failed = r
		case fleet.Held:
			held = r
		default:
		}
	}
	w.setCursor(func(c *cursor) { c.releases = kept })
	w.status.update(func(s *Status) { s.Failed, s.Held = failed, held })
	w.metrics.SetReleases(failed, held, s.Rollout)
}

func withoutGroups(r *fleet.Release) *fleet.Release {
	next, impact := *r, *r.Impact
	impact.Groups = nil
	next.Impact = &impact
	return &next
}

// maxConflictRetries is how often a change is tried that conflicts with nothing in the log.
const maxConflictRetries = 5

var errOvertaken = errors.New("another change came before")

// withWriter runs one writer after the other, and again where a change of another server came
// before. Where try fails for another reason, it must not have decided on an old log.
func (w *writer) withWriter(ctx context.Context, try func() error) error {
	if w.cfg.ReadOnly {
		return fleet.ErrReadOnly
	}
	defer w.metrics.Lock(&w.mu)()
	for tries := 1; ; tries++ {
		if w.cursor.Load().stale {
			if err := w.catchUp(ctx); err != nil {
				return err
			}
		}
		before := w.state().Generation
		err := try()
		if w.state().Generation != before || errors.Is(err, fleet.ErrStore) {
			return err
		}
		moved, failed := w.update(ctx)
		overtaken := errors.Is(err, errOvertaken)
		switch {
		case ctx.Err() != nil:
			return err
		case moved:
			// What another server wrote may change everything.
		case failed != nil && (err == nil || overtaken):
			return failed
		case !overtaken || tries == maxConflictRetries:
			return err
		}
	}
}

// update makes sure that the cursor is at the end of the log, which other servers write too, and
// reports whether it was not. The caller holds mu.
func (w *writer) update(ctx context.Context) (moved bool, err error) {
	if w.cfg.Store == nil {
		return false, nil
	}
	var last int64
	err = withStoreTimeout(ctx, func(ctx context.Context) (err error) {
		last, err = w.cfg.Store.Generation(ctx)
		return err
	})
	before := w.state().Generation
	if err != nil || last == before && !w.cursor.Load().stale {
		return false, err
	}
	err = w.catchUp(ctx)
	return err == nil && w.state().Generation != before, err
}

// restoreTries is how often Restore looks for more. One look takes as long as what it brings, so
// that after the first there is little left, but for a release.
const restoreTries = 10

// Restore takes up where the change log ends, and serves what was served then. Run does so too; call
// it before to know when polls can be answered.
func (w *writer) Restore(ctx context.Context) error {
	if w.cfg.Store == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.cursor.Load(); c.loaded && !c.stale {
		return nil
	}
	if err := w.catchUp(ctx); err != nil {
		return err
	}
	// Other servers went on while the release was compiled and rendered. A cluster that they
	// answered must not be answered with less here. Where the log cannot be read any more, what is
	// served is good enough to begin with.
	for range restoreTries {
		if moved, err := w.update(ctx); !moved || err != nil {
			return nil
		}
	}
	return nil
}

// catchUp takes up what the log says, and serves it. The caller holds mu.
func (w *writer) catchUp(ctx context.Context) error {
	v, from := w.current.Load(), w.state().Generation
	changes, whole, err := w.readLog(ctx)
	if err != nil {
		return err
	}
	wentLive := slices.ContainsFunc(changes, func(c fleet.Change) bool { return c.Kind == fleet.WentLive })
	if !whole && !wentLive && v != nil && v.Generation() == from {
		err = w.serveChanges(ctx, v, changes)
	} else if err = w.serveState(ctx, v); err == nil {
		w.forgetPrefetched()
	}
	w.setCursor(func(c *cursor) { c.stale = err != nil })
	return err
}

// readLog moves the cursor to the end of the log. It returns the changes on the way, or that the
// whole log was read.
func (w *writer) readLog(ctx context.Context) (changes []fleet.Change, whole bool, err error) {
	if w.cursor.Load().loaded {
		changes, err = w.readSince(ctx)
		if !errors.Is(err, fleet.ErrNotFound) {
			return changes, false, err
		}
	}
	var log *fleet.LogState
	err = withStoreTimeout(ctx, func(ctx context.Context) (err error) {
		log, err = w.cfg.Store.Load(ctx)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if served := w.state().Generation; log.Generation < served {
		return nil, false, fmt.Errorf("change log: %w: it ends at generation %d, but generation %d is served: the database was replaced; restore the right one, or start anew",
			fleet.ErrStore, log.Generation, served)
	}
	w.cursor.Store(&cursor{state: fleet.NewState(log), loaded: true})
	w.setReleases(log.Releases)
	w.tokens.update(log.Generation, func(*credential.Set) *credential.Set { return credential.NewSet(log.Tokens) })
	return nil, true, nil
}

func (w *writer) readSince(ctx context.Context) ([]fleet.Change, error) {
	later, err := read(ctx, storeTimeout, w.cfg.Store.Since, w.state().Generation)
	if err != nil {
		return nil, err
	}
	for i := range later.Changes {
		w.advance(&later.Changes[i])
	}
	w.setReleases(later.Releases)
	w.tokens.update(w.state().Generation, func(s *credential.Set) *credential.Set { return s.With(later.Tokens) })
	return later.Changes, nil
}

// serveState serves the state at the cursor, whatever is served now.
func (w *writer) serveState(ctx context.Context, v *view.View) error {
	s := w.state()
	if s.Live == nil || w.cfg.Renderer == nil {
		return nil
	}
	live, err := w.loadRelease(ctx, s.Live.ReleaseRef, s.Live.At)
	if errors.Is(err, fleet.ErrUnavailable) {
		w.log.Error("live release cannot be loaded; waiting for the source", "revision", s.Live.Revision, "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	compiled, err := w.loadReleases(ctx, s, view.Releases{live.Ref: live})
	if err != nil {
		return err
	}
	// What was rendered beforehand comes first: clusters that changed since are in neither view.
	next, problems, err := view.Build(ctx, s, live, compiled, view.Options{Renders: &w.renders}, w.prefetch.Get(ctx, live.Ref), v)
	if err != nil {
		return err
	}
	if failing := next.Failing(); len(failing) > 0 {
		// Another version rendered it for all clusters. The ones that this version can render are served.
		problems = append(problems, live.Repo.Problems()...).Sort()
		w.log.Error("release is not valid for some clusters with this version of Tributary; they are not served",
			"revision", live.Ref.Revision, "clusters", len(failing), "err", oneLine(problems.Faults()))
		next = next.MarkUnavailable()
	}
	w.publish(next)
	w.log.Info("release is loaded", "revision", live.Ref.Revision, "generation", s.Generation, "clusters", len(next.Members()))
	return nil
}

// serveChanges serves what other servers changed since a view.
func (w *writer) serveChanges(ctx context.Context, v *view.View, changes []fleet.Change) error {
	compiled, err := w.loadReleases(ctx, w.state(), v.Releases())
	if err != nil {
		return err
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
	next, problems, err := v.Next(ctx, w.state(), compiled, slices.Sorted(maps.Keys(names)))
	if err == nil && len(problems.Faults()) > 0 {
		err = problems.Faults()
	}
	if err != nil {
		return err
	}
	w.publish(next)
	return nil
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
		c := cmp.Or(known[ref], w.current.Load().Compiled(ref))
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
	if c := w.current.Load().Compiled(ref); c != nil {
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

// tokenHolder has the tokens of the log. It never waits for the writer, which may render for a
// while: a revoked token must stop working within a second.
type tokenHolder struct {
	set        atomic.Pointer[credential.Set]
	mu         sync.Mutex // guards generation, and set against concurrent updates
	generation int64
}

// update replaces the tokens by those of a generation, unless later ones are known.
func (h *tokenHolder) update(generation int64, next func(*credential.Set) *credential.Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if generation >= h.generation {
		h.set.Store(next(h.set.Load()))
		h.generation = generation
	}
}

func (h *tokenHolder) apply(c *fleet.Change) {
	if len(c.Tokens) > 0 {
		h.update(c.Generation, func(s *credential.Set) *credential.Set { return s.Apply(c.Tokens) })
	}
}

// read takes up the tokens that changed in the store. It does not wait for a writer.
func (h *tokenHolder) read(ctx context.Context, store fleet.Store) error {
	h.mu.Lock()
	from := h.generation
	h.mu.Unlock()
	return withStoreTimeout(ctx, func(ctx context.Context) error {
		changed, now, err := store.TokensSince(ctx, from)
		if err == nil {
			h.update(now, func(s *credential.Set) *credential.Set { return s.With(changed) })
		}
		return err
	})
}
