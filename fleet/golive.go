package fleet

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// SourceActor is who the change log names where a release goes live.
const SourceActor = "source"

// release renders a snapshot and, where it has no fault, puts it live. All
// fallible work is done before the swap, so a fault changes nothing. What takes
// long is done before the writer's lock is taken.
func (f *Fleet) release(ctx context.Context, s *Snapshot) error {
	if v := f.current.Load(); v != nil && v.release.Revision == s.Revision {
		f.setFailed(nil) // the source went back to what is served
		return nil
	}
	start := time.Now()
	view, problems, err := Prepare(ctx, f.cfg.Renderer, s, f.deltas(), f.cfg.Now(), nil)
	if err != nil {
		return err
	}
	f.metrics.rendered(time.Since(start), view != nil)
	for _, p := range problems.Warnings() {
		f.log.Warn("fleet repo", "revision", s.Revision, "problem", p.String())
	}
	if view == nil {
		f.fail(s.Revision, problems)
		return nil
	}
	digest, err := f.keep(ctx, s)
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	live, err := f.goLive(ctx, view, digest)
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	if live {
		f.log.Info("release is live", "revision", s.Revision, "generation", view.generation, "clusters", view.release.Clusters,
			"took", time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// deltas are those of the head.
func (f *Fleet) deltas() []*Delta {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head.deltas.list()
}

// keep puts the snapshot into the store, and returns its digest.
func (f *Fleet) keep(ctx context.Context, s *Snapshot) (string, error) {
	if f.cfg.Store == nil {
		return "", nil
	}
	packed, err := f.cfg.Archive.Pack(ctx, s.Tree)
	if err != nil {
		return "", err
	}
	return packed.Digest, f.cfg.Store.SaveSnapshot(ctx, packed)
}

// goLive makes a view what is served, with the deltas as they are by now.
func (f *Fleet) goLive(ctx context.Context, v *View, snapshot string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.upToDate(ctx); err != nil {
		return false, err
	}
	if f.served() == v.release.Revision { // Another process was first, or an earlier try was kept after all.
		f.setFailed(nil)
		return false, nil
	}
	problems, err := f.bringUp(ctx, v)
	if err != nil {
		return false, err
	}
	if len(problems.Faults()) > 0 { // A delta that it needed has gone.
		f.fail(v.release.Revision, problems)
		return false, nil
	}
	c := &Change{
		At: f.now(), Kind: WentLive, Actor: SourceActor,
		Release: &LiveRelease{Revision: v.release.Revision, Snapshot: snapshot, Clusters: v.release.Clusters},
	}
	if err := f.append(ctx, c, v.deltas); err != nil {
		return false, err
	}
	v.generation, v.wentLive, v.release.At = c.Generation, c.Generation, c.At
	f.publish(v)
	f.setFailed(nil)
	return true, nil
}

// now is the time as the change log keeps it.
func (f *Fleet) now() time.Time { return f.cfg.Now().UTC().Truncate(time.Microsecond) }

// fail notes a revision that has faults, and tells of them once.
func (f *Fleet) fail(revision string, problems Problems) {
	if old := f.Status().Failed; old != nil && old.Revision == revision && slices.Equal(old.Problems, problems) {
		return
	}
	f.setFailed(&Release{
		ID: releaseID(revision), Revision: revision, State: Failed, At: f.cfg.Now(), Problems: problems,
	})
	f.metrics.failures.WithLabelValues("render").Inc()
	for _, p := range problems.Faults() {
		f.log.Error("fleet repo", "revision", revision, "problem", p.String())
	}
	f.log.Error("release failed", "revision", revision, "faults", len(problems.Faults()))
}

func (f *Fleet) setFailed(r *Release) {
	f.note(func(s *Status) { s.Failed = r })
	f.metrics.failed(r != nil)
}
