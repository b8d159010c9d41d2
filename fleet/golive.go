package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// SourceActor is who the change log names where what the source holds makes a change.
const SourceActor = "source"

// release makes a release of what the source holds now: it renders a snapshot for
// every cluster, and puts it live, begins to roll it out, or has the log say why not.
// What takes long is done before the writer's lock is taken.
func (f *Fleet) release(ctx context.Context, s *Snapshot) error {
	start := time.Now()
	if done, err := f.known(ctx, s.Revision); done || err != nil {
		return err
	}
	b, packed, err := f.compile(ctx, s)
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	f.mu.Lock()
	log := f.head.state
	f.mu.Unlock()
	t, err := f.try(ctx, b, f.current.Load(), log, nil)
	if err != nil {
		return err
	}
	f.metrics.rendered(time.Since(start), !t.failed())
	for _, p := range t.problems.Warnings() {
		f.log.Warn("fleet repo", "revision", s.Revision, "problem", p.String())
	}
	if packed != nil && !t.failed() {
		if err := f.cfg.Store.SaveSnapshot(ctx, packed); err != nil {
			return fmt.Errorf("release of %s: %w", s.Revision, err)
		}
	}
	if t, err = f.overtake(ctx, t); err != nil {
		return err
	}
	if err := f.admit(ctx, t, start); err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	return nil
}

// overtake has a trial take up most of what was written in the meantime, before the
// writer's lock is taken to take up the rest.
func (f *Fleet) overtake(ctx context.Context, t *trial) (*trial, error) {
	f.mu.Lock()
	before, log := f.current.Load(), f.head.state
	f.mu.Unlock()
	if before == t.before && log.generation == t.log.generation {
		return t, nil
	}
	next, err := t.overtaken(ctx, before, log)
	return cmp.Or(next, t), err
}

// compile makes a base of a snapshot, or finds that it is in use, and packs it for the
// store, if there is one.
func (f *Fleet) compile(ctx context.Context, s *Snapshot) (*base, *Packed, error) {
	var packed *Packed
	digest := ""
	if f.cfg.Store != nil {
		var err error
		if packed, err = f.cfg.Archive.Pack(ctx, s.Tree); err != nil {
			return nil, nil, err
		}
		digest = packed.Digest
		f.announce(ctx, s.Revision, packed)
	}
	if v := f.current.Load(); v != nil {
		if b := v.bases[releaseKey{s.Revision, digest}]; b != nil {
			return b, packed, nil
		}
	}
	b, err := compile(ctx, f.cfg.Renderer, s, f.now())
	if err != nil {
		return nil, nil, err
	}
	b.snapshot = digest
	return b, packed, nil
}

// known tells whether a revision that the source is at asks for no release: it is
// live, being rolled out, or was decided on.
func (f *Fleet) known(ctx context.Context, revision string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.upToDate(ctx); err != nil {
		return false, err
	}
	id := releaseID(revision)
	switch c := f.head.releases[f.head.candidate()]; {
	case f.served() == revision:
		return true, f.backToLive(ctx)
	case f.current.Load() == nil:
		return c != nil && c.ID == id && c.State != Failed, nil
	case f.head.rollout() != nil && f.head.rollout().Release.Revision == revision:
		return true, f.dropCandidate(ctx)
	default:
		return c != nil && c.ID == id && c.State != Failed, nil
	}
}

// backToLive is what becomes of others when the source went back to what is live. A
// rollout that is paused, or that somebody had go on all the same, is his who decides.
func (f *Fleet) backToLive(ctx context.Context) error {
	ro := f.head.rollout()
	c := &Change{At: f.now(), Kind: ReleaseRolledOut, Actor: SourceActor, Holder: f.holder(), Reason: wentBack}
	switch {
	case ro == nil:
		return f.dropCandidate(ctx)
	case ro.Back:
		return nil
	case ro.Paused != "":
		return f.pauseAt(ctx, c, &stop{why: ro.Paused + "; " + wentBack + " meanwhile: " + backOrOn, impact: ro.Beyond, back: true})
	}
	return f.endRollout(ctx, c, Superseded)
}

// wentBack is what the source did, and backOrOn what can be done about it.
const (
	wentBack = "the source went back to the live release"
	backOrOn = "abort the rollout to go back, or resume it to go on"
)

// dropCandidate forgets the candidate, where the fleet goes to what the source holds.
func (f *Fleet) dropCandidate(ctx context.Context) error {
	if f.head.candidate() == "" {
		return nil
	}
	c := &Change{At: f.now(), Kind: ReleaseRolledOut, Actor: SourceActor, Holder: f.holder(), Lineup: &Lineup{Rollout: f.head.rollout()},
		Reason: "the source went back to the release that the fleet goes to"}
	if r := f.head.releases[f.head.candidate()]; r != nil {
		c.Release = &LiveRelease{Revision: r.Revision, Snapshot: r.Digest, Clusters: r.Clusters}
	}
	f.supersede(c, f.head.candidate())
	return f.commit(ctx, c, f.current.Load())
}

// admit decides on a release that was tried, with what else has changed by now.
func (f *Fleet) admit(ctx context.Context, t *trial, start time.Time) error {
	defer f.metrics.turn(&f.mu)()
	if _, err := f.upToDate(ctx); err != nil {
		return err
	}
	before := f.current.Load()
	if f.served() == t.base.release.Revision || f.head.rollout() != nil && f.head.rollout().Release.key() == t.base.key() {
		return nil // An earlier try was kept after all.
	}
	t, err := f.again(ctx, t, before)
	if err != nil {
		return err
	}
	c := &Change{At: t.change.At, Actor: SourceActor, Holder: f.holder()}
	switch rejected, err := f.wasRejected(ctx, t); {
	case err != nil:
		return err
	case t.failed():
		return f.fail(ctx, c, t.release(Failed, f.head.generation+1))
	case rejected:
		return f.hold(ctx, c, t, Rejected)
	case len(t.violations) > 0:
		return f.hold(ctx, c, t, Held)
	}
	if live := f.head.live; before == nil && live != nil && live.Release.key() != t.base.key() {
		t.violations = append(t.violations, Violation{Rule: "served", Message: fmt.Sprintf(
			"what clusters were served, release of %s, cannot be taken up again here, so that nobody can tell what they would lose", live.Release.Revision)})
		return f.hold(ctx, c, t, Held)
	}
	if r := f.head.rollout(); r != nil && r.Paused != "" {
		t.violations = append(t.violations, Violation{Rule: "rollout", Message: fmt.Sprintf(
			"the rollout of %s is paused: resume or abort that, or approve this release, which takes over then", r.Release.Revision)})
		return f.hold(ctx, c, t, Held)
	}
	return f.start(ctx, c, t, "", start)
}

// again repeats a trial where what is served has changed since. The caller holds mu.
func (f *Fleet) again(ctx context.Context, t *trial, before *View) (*trial, error) {
	if before == t.before && f.head.generation == t.next.generation {
		return t, nil
	}
	if next, err := t.overtaken(ctx, before, f.head.state); next != nil || err != nil {
		return next, err
	}
	return f.try(ctx, t.base, before, f.head.state, t)
}

// wasRejected tells whether somebody rejected the release before the source left it
// and came back.
func (f *Fleet) wasRejected(ctx context.Context, t *trial) (bool, error) {
	if f.cfg.Store == nil || t.failed() {
		return false, nil
	}
	var r *Release
	err := ask(ctx, func(ctx context.Context) (err error) {
		r, err = f.cfg.Store.Release(ctx, t.base.release.ID)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && r.State == Rejected && r.Digest == t.base.snapshot, err
}

// fail has the log say that a revision is good for no cluster, and tells of it, once.
func (f *Fleet) fail(ctx context.Context, c *Change, r *Release) error {
	if old := f.head.releases[f.head.candidate()]; old != nil && old.ID == r.ID && old.State == Failed && slices.Equal(old.Problems.Faults(), r.Problems.Faults()) {
		return nil
	}
	r.Digest, r.Impact, r.Violations = "", nil, nil
	c.Kind, c.Release = ReleaseFailed, &LiveRelease{Revision: r.Revision, Clusters: r.Clusters}
	f.propose(c, r)
	f.metrics.failures.WithLabelValues("render").Inc() // first, so that who sees the failure finds it counted
	if err := f.commit(ctx, c, f.current.Load()); err != nil {
		return err
	}
	for _, p := range r.Problems.Faults() {
		f.log.Error("fleet repo", "revision", r.Revision, "problem", p.String())
	}
	f.log.Error("release failed", "revision", r.Revision, "faults", len(r.Problems.Faults()))
	return nil
}

// refuse has the log say that the source is at a revision that no snapshot can be
// made of.
func (f *Fleet) refuse(ctx context.Context, refused *RefusedError) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.upToDate(ctx); err != nil {
		return err
	}
	c := &Change{At: f.now(), Actor: SourceActor, Holder: f.holder()}
	return f.fail(ctx, c, &Release{
		ID: releaseID(refused.Revision), Revision: refused.Revision, State: Failed, At: c.At, Generation: f.head.generation + 1,
		Problems: Problems{refused.Problem},
	})
}

// hold has a release wait for a decision, or keeps one that there was.
func (f *Fleet) hold(ctx context.Context, c *Change, t *trial, s State) error {
	r := t.release(s, f.head.generation+1)
	kept := t.base.kept()
	c.Kind, c.Release = ReleaseHeld, &kept
	f.propose(c, r)
	if err := f.commit(ctx, c, f.current.Load()); err != nil {
		return err
	}
	for _, v := range r.Violations {
		f.log.Error("release is held", "revision", r.Revision, "release", r.ID, "rule", v.Rule, "why", v.Message)
	}
	f.log.Error("release waits for a decision", "revision", r.Revision, "release", r.ID, "state", string(s),
		"clusters", r.Impact.Clusters, "removed", r.Impact.Removed, "moved", r.Impact.Moved, "lost", r.Impact.losses(5))
	return nil
}

// propose makes a release the candidate.
func (f *Fleet) propose(c *Change, r *Release) {
	c.Releases = append(c.Releases, r)
	if old := f.head.candidate(); old != r.ID {
		f.supersede(c, old)
	}
	c.Lineup = &Lineup{Rollout: f.head.rollout(), Candidate: r.ID, Snapshot: r.Digest}
}

// supersede has the log say that another release came after one that is live or held.
func (f *Fleet) supersede(c *Change, id string) {
	if r := f.head.releases[id]; r != nil && (r.State == Live || r.State == Held) {
		after := *r
		after.State, after.At, after.Generation = Superseded, c.At, f.head.generation+1
		c.Releases = append(c.Releases, &after)
	}
}

// commit makes a change durable, and has a view that it led to served. One that is
// served already, or none, is as it was but for the generation.
func (f *Fleet) commit(ctx context.Context, c *Change, next *View) error {
	c.sort()
	if err := f.append(ctx, c); err != nil {
		return err
	}
	if next == nil {
		return nil
	}
	if next == f.current.Load() {
		next = next.clone()
	}
	next.state = f.head.state
	f.publish(next)
	return nil
}

// live has the whole fleet go to a release, all at once.
func (f *Fleet) live(ctx context.Context, c *Change, t *trial, r *Release, start time.Time) error {
	kept := t.base.kept()
	kept.Clusters = t.next.members.count
	c.Kind, c.Release = WentLive, &kept
	c.Records, c.Deltas, c.Tokens, c.Lineup = t.change.Records, t.change.Deltas, t.change.Tokens, &Lineup{}
	c.Releases = append(c.Releases, r)
	if ro := f.head.rollout(); ro != nil && ro.Release.key() == t.base.key() { // What is newer than that waits on.
		c.Lineup.Candidate, c.Lineup.Snapshot = f.head.candidate(), f.head.lineup.Snapshot
	}
	for id := range f.head.releases {
		if id != r.ID && id != c.Lineup.Candidate {
			f.supersede(c, id)
		}
	}
	if err := f.commit(ctx, c, t.next); err != nil {
		return err
	}
	f.log.Info("release is live", "revision", r.Revision, "generation", t.next.generation, "clusters", r.Clusters,
		"took", time.Since(start).Round(time.Millisecond))
	f.tellFailing(t)
	f.tellRecords(c)
	return nil
}

// tellFailing says which clusters a release is not good for.
func (f *Fleet) tellFailing(t *trial) {
	for _, one := range t.failing {
		f.log.Error("release is not good for a cluster, which stays where it is", "revision", t.base.release.Revision, "cluster", one.Cluster, "why", one.Reason)
	}
}

// tellRecords says what became of clusters with a release.
func (f *Fleet) tellRecords(c *Change) {
	for _, r := range c.Records {
		switch {
		case r.After != nil && r.After.Orphaned != nil:
			f.log.Warn("cluster file has vanished; the cluster stays on its release", "cluster", r.Cluster)
		case r.After != nil && r.After.Stays != nil:
		case r.Before != nil && r.Before.Orphaned != nil:
			f.log.Info("cluster file is back", "cluster", r.Cluster)
		case r.Before != nil && r.Before.Stays != nil:
			f.log.Info("cluster goes with the fleet again", "cluster", r.Cluster)
		default:
			f.log.Warn("cluster file disagrees with a registration, which is void; the cluster must register anew", "cluster", r.Cluster)
		}
	}
}

// recordChange is from one record to another, either of which may say nothing.
func recordChange(before, after *ClusterRecord) RecordChange {
	c := RecordChange{Before: before, After: after}
	switch {
	case before != nil:
		c.Cluster = before.Cluster
	case after != nil:
		c.Cluster = after.Cluster
	}
	if after.isEmpty() {
		c.After = nil
	}
	return c
}

// now is the time as the change log keeps it.
func (f *Fleet) now() time.Time { return f.cfg.Now().UTC().Truncate(time.Microsecond) }
