package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
	"github.com/tributary-gitops/tributary/fleet/rollout"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// takeRevision makes a release of what the source holds now: it compiles the snapshot, evaluates it
// for every cluster against what is served, stores it, and then, with the lock held, evaluates what
// moved meanwhile, decides, and commits. The release fails, is held, starts to roll out, or goes
// live. What takes long is done before the lock is taken.
func (r *releaser) takeRevision(ctx context.Context, s *fleet.Snapshot) error {
	start := time.Now()
	if done, err := r.returnTo(ctx, s.Revision); done || err != nil {
		return err
	}
	compiled, packed, err := r.compile(ctx, s)
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	c, err := r.evaluate(ctx, compiled, r.current.Load(), r.state(), nil)
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	r.metrics.ObserveEvaluation(time.Since(start), !c.failed())
	for _, p := range c.Problems.Warnings() {
		r.log.Warn("fleet repo", "revision", s.Revision, "problem", p.String())
	}
	if packed != nil && !c.failed() {
		if err := r.cfg.Store.SaveSnapshot(ctx, packed); err != nil {
			return fmt.Errorf("release of %s: %w", s.Revision, err)
		}
	}
	defer r.metrics.Lock(&r.mu)()
	if _, err := r.update(ctx); err != nil {
		return err
	}
	if now := r.state(); r.servedRevision() == s.Revision || now.Rollout != nil && now.Rollout.Release == compiled.Ref {
		return nil // An earlier try was kept after all.
	}
	if before, state := r.current.Load(), r.state(); before != c.before || state != c.state {
		c, err = r.evaluate(ctx, compiled, before, state, c)
	}
	if err == nil {
		err = r.decide(ctx, c, start)
	}
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	return nil
}

// decide decides what becomes of a new release. The caller holds mu.
func (r *releaser) decide(ctx context.Context, c *candidate, start time.Time) error {
	change := &fleet.Change{At: c.change.At, Actor: fleet.SourceActor, Holder: r.holder()}
	rejected, err := r.wasRejected(ctx, c)
	switch {
	case err != nil:
		return err
	case c.failed():
		return r.fail(ctx, change, c.document(fleet.Failed, 0))
	case rejected:
		return r.hold(ctx, change, c, fleet.Rejected)
	case len(c.Violations) > 0:
		return r.hold(ctx, change, c, fleet.Held)
	}
	s := r.state()
	if c.before == nil && s.Live != nil && s.LiveRef() != c.compiled.Ref {
		c.Violations = append(c.Violations, fleet.Violation{Rule: "served", Message: fmt.Sprintf(
			"what clusters were served, release of %s, cannot be loaded here, so that nobody can tell what they would lose", s.Live.Revision)})
		return r.hold(ctx, change, c, fleet.Held)
	}
	if s.Rollout != nil && s.Rollout.Paused != nil {
		c.Violations = append(c.Violations, fleet.Violation{Rule: "rollout", Message: fmt.Sprintf(
			"the rollout of %s is paused: resume or abort it, or approve this release, which then takes over", s.Rollout.Release.Revision)})
		return r.hold(ctx, change, c, fleet.Held)
	}
	return r.start(ctx, change, c, c.document(fleet.RollingOut, s.Generation+1), "", start)
}

// compile compiles a snapshot, unless a release that is in use is the same, and packs it for the
// store, if there is one.
func (r *releaser) compile(ctx context.Context, s *fleet.Snapshot) (*fleet.Compiled, *fleet.Packed, error) {
	var packed *fleet.Packed
	digest := ""
	if r.cfg.Store != nil {
		var err error
		if packed, err = r.cfg.Archive.Pack(ctx, s.Tree); err != nil {
			return nil, nil, err
		}
		digest = packed.Digest
		r.announce(ctx, s.Revision, packed)
	}
	if c := r.current.Load().Compiled(fleet.ReleaseRef{Revision: s.Revision, Snapshot: digest}); c != nil {
		return c, packed, nil
	}
	c, err := fleet.Compile(ctx, r.cfg.Renderer, s, digest, r.now())
	return c, packed, err
}

// servedRevision returns the revision that is live; empty for none.
func (w *writer) servedRevision() string {
	if v := w.current.Load(); v != nil {
		return v.Live().Ref.Revision
	}
	return ""
}

// lastSeen returns the newest revision that the log has a result of; empty for none, and where
// it failed, since it may be valid by now.
func (w *writer) lastSeen() string {
	if c := w.candidate(); c != nil {
		if c.State == fleet.Failed {
			return ""
		}
		return c.Revision
	}
	if r := w.state().Rollout; r != nil {
		return r.Release.Revision
	}
	return w.servedRevision()
}

// knows reports whether a revision is live, rolling out, or was decided on.
func (r *releaser) knows(revision string) bool {
	s := r.state()
	if c := r.candidate(); c != nil && c.Revision == revision && c.State != fleet.Failed {
		return true
	}
	return r.servedRevision() == revision || s.Rollout != nil && s.Rollout.Release.Revision == revision
}

// returnTo decides what becomes of others where the source went back to a revision that is known.
// It reports whether nothing else is to be done about the revision.
func (r *releaser) returnTo(ctx context.Context, revision string) (done bool, err error) {
	defer r.metrics.Lock(&r.mu)()
	if _, err := r.update(ctx); err != nil || !r.knows(revision) {
		return false, err
	}
	s := r.state()
	switch ro := s.Rollout; {
	case r.servedRevision() != revision && ro != nil && ro.Release.Revision == revision && r.current.Load() != nil:
		return true, r.dropCandidate(ctx)
	case r.servedRevision() != revision:
		return true, nil // It is the candidate.
	case ro == nil:
		return true, r.dropCandidate(ctx)
	case ro.Reverted:
		return true, nil
	case ro.Paused != nil:
		// The user who paused it decides.
		c := &fleet.Change{At: r.now(), Actor: fleet.SourceActor, Holder: r.holder()}
		return true, r.pause(ctx, c, *ro.Paused, true)
	}
	c := &fleet.Change{At: r.now(), Kind: fleet.ReleaseRolledOut, Actor: fleet.SourceActor, Holder: r.holder(), Reason: "the source went back to the live release"}
	return true, r.end(ctx, c, fleet.Superseded)
}

// dropCandidate forgets the candidate, where the fleet goes to what the source holds.
func (r *releaser) dropCandidate(ctx context.Context) error {
	s := r.state()
	if s.Candidate.IsZero() {
		return nil
	}
	c := &fleet.Change{At: r.now(), Kind: fleet.ReleaseRolledOut, Actor: fleet.SourceActor, Holder: r.holder(), Candidate: &fleet.ReleaseRef{},
		Reason: "the source went back to the release that the fleet goes to"}
	if old := r.candidate(); old != nil {
		c.Release = &fleet.ReleaseEvent{Ref: s.Candidate, Clusters: old.Clusters, From: old.State, To: old.State}
	}
	r.supersede(c, s.Candidate)
	return r.commit(ctx, c, nil)
}

// wasRejected reports whether somebody rejected the release before the source left it and came back.
func (r *releaser) wasRejected(ctx context.Context, c *candidate) (bool, error) {
	if r.cfg.Store == nil || c.failed() {
		return false, nil
	}
	old, err := read(ctx, storeTimeout, r.cfg.Store.Release, c.compiled.Ref.ID())
	if errors.Is(err, fleet.ErrNotFound) {
		return false, nil
	}
	return err == nil && old.State == fleet.Rejected && old.Digest == c.compiled.Ref.Snapshot, err
}

// fail records once that a revision is valid for no cluster.
func (r *releaser) fail(ctx context.Context, c *fleet.Change, failed *fleet.Release) error {
	old := r.candidate()
	if old != nil && old.ID == failed.ID && old.State == fleet.Failed && slices.Equal(old.Problems.Faults(), failed.Problems.Faults()) {
		return nil
	}
	failed.Digest, failed.Impact, failed.Violations, failed.Generation = "", nil, nil, r.state().Generation+1
	c.Kind, c.Release = fleet.ReleaseFailed, &fleet.ReleaseEvent{Ref: failed.Ref(), Clusters: failed.Clusters, To: fleet.Failed}
	r.propose(c, failed)
	r.metrics.CountFailure() // first, so that a failure that is visible is counted
	if err := r.commit(ctx, c, nil); err != nil {
		return err
	}
	for _, p := range failed.Problems.Faults() {
		r.log.Error("fleet repo", "revision", failed.Revision, "problem", p.String())
	}
	r.log.Error("release failed", "revision", failed.Revision, "faults", len(failed.Problems.Faults()))
	return nil
}

// refuse records that the source holds a revision that cannot be made into a snapshot.
func (r *releaser) refuse(ctx context.Context, refused *fleet.RefusedError) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.update(ctx); err != nil {
		return err
	}
	c := &fleet.Change{At: r.now(), Actor: fleet.SourceActor, Holder: r.holder()}
	return r.fail(ctx, c, &fleet.Release{
		ID: fleet.ReleaseID(refused.Revision), Revision: refused.Revision, State: fleet.Failed, At: c.At, Problems: fleet.Problems{refused.Problem},
	})
}

// hold keeps a release for a decision, or keeps the decision that there was.
func (r *releaser) hold(ctx context.Context, c *fleet.Change, held *candidate, s fleet.ReleaseState) error {
	doc := held.document(s, r.state().Generation+1)
	c.Kind, c.Release = fleet.ReleaseHeld, &fleet.ReleaseEvent{Ref: held.compiled.Ref, Clusters: held.Clusters, To: s}
	r.propose(c, doc)
	if err := r.commit(ctx, c, nil); err != nil {
		return err
	}
	for _, v := range doc.Violations {
		r.log.Error("release is held", "revision", doc.Revision, "release", doc.ID, "rule", v.Rule, "why", v.Message)
	}
	r.log.Error("release waits for a decision", "revision", doc.Revision, "release", doc.ID, "state", string(s),
		"clusters", doc.Impact.Clusters, "removed", doc.Impact.Removed, "moved", doc.Impact.Moved, "lost", impact.Losses(doc.Impact, 5))
	return nil
}

// propose makes a release the candidate.
func (r *releaser) propose(c *fleet.Change, doc *fleet.Release) {
	c.Releases = append(c.Releases, doc)
	if old := r.state().Candidate; old.ID() != doc.ID {
		r.supersede(c, old)
	}
	ref := doc.Ref()
	c.Candidate = &ref
}

// supersede records that a newer release replaced one that is live, rolling out or held.
func (r *releaser) supersede(c *fleet.Change, ref fleet.ReleaseRef) {
	if old := r.release(ref.ID()); old != nil && (old.State == fleet.Live || old.State == fleet.RollingOut || old.State == fleet.Held) {
		c.Releases = append(c.Releases, r.entered(old, fleet.Superseded, c))
	}
}

// entered returns the document of a release that enters a state by a change.
func (r *releaser) entered(old *fleet.Release, s fleet.ReleaseState, c *fleet.Change) *fleet.Release {
	after := *old
	after.State, after.At, after.Generation = s, c.At, r.state().Generation+1
	return &after
}

// start starts to roll a release out, by the waves of the live release, or makes it live at once
// where there are none. Doc is its document, and approved the digest of the impact that was approved;
// empty where none had to be. The caller holds mu.
func (r *releaser) start(ctx context.Context, c *fleet.Change, t *candidate, doc *fleet.Release, approved string, start time.Time) error {
	s := r.state()
	rules := rollout.NewRules(s, lookup(t.before.Releases()))
	waves, added := rules.Waves(t.compiled)
	if t.before == nil || len(waves) < 2 {
		return r.goLiveEverywhere(ctx, c, t, doc, start)
	}
	ro := &fleet.Rollout{Release: t.compiled.Ref, Waves: waves, New: added,
		RolloutProgress: fleet.RolloutProgress{Step: 1, Since: c.At, Generation: s.Generation + 1, Approved: approved}}
	c.Kind, c.Reason, c.Rollout = fleet.ReleaseRolledOut, waveReason(c.Reason, ro.Wave()), &fleet.RolloutChange{Started: ro}
	c.Releases = append(c.Releases, doc)
	if s.Rollout != nil {
		r.supersede(c, s.Rollout.Release)
	}
	if !s.Candidate.IsZero() {
		if s.Candidate.ID() != doc.ID {
			r.supersede(c, s.Candidate)
		}
		c.Candidate = &fleet.ReleaseRef{}
	}
	c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(ro.Wave().Clusters), From: doc.State, To: fleet.RollingOut, Wave: ro.Wave().Name}
	r.dropContradicted(c, s, rules.Contradicted(t.compiled))
	plan, err := rules.Start(c, t.compiled)
	if err != nil {
		return err
	}
	if err := r.reachWave(ctx, c, plan, t.before, t.compiled, ro.Wave(), nil, t.next); err != nil {
		return err
	}
	r.log.Info("release is rolling out", "revision", doc.Revision, "release", doc.ID, "wave", ro.Wave().Name, "of", len(waves), "clusters", len(ro.Wave().Clusters))
	return nil
}

// waveReason says in the history that a wave was reached.
func waveReason(given string, w *fleet.Wave) string {
	text := fmt.Sprintf("wave %s: %d clusters", w.Name, len(w.Clusters))
	if given != "" {
		text = given + "; " + text
	}
	return text
}

// reachWave renders the clusters of a wave and commits. Check, where it is not nil, is asked whether
// the wave may be reached, and returns why not.
func (r *releaser) reachWave(ctx context.Context, c *fleet.Change, plan *rollout.Plan, before *view.View, compiled *fleet.Compiled, w *fleet.Wave,
	check func(next *view.View) (*fleet.RolloutPause, error), others ...*view.View) error {
	known, err := r.loadReleases(ctx, plan.State(), view.Releases{compiled.Ref: compiled})
	if err != nil {
		return err
	}
	next, _, err := r.realize(ctx, plan, before.Live(), known, append([]*view.View{before}, others...)...)
	if err != nil {
		return err
	}
	if check != nil {
		if pause, err := check(next); err != nil || pause != nil {
			if err != nil {
				return err
			}
			return r.pause(ctx, &fleet.Change{At: c.At, Actor: c.Actor, Holder: c.Holder}, *pause, false)
		}
	}
	c = plan.Change()
	c.Clusters = clustersBetween(before, next, w.Clusters)
	if err := r.commit(ctx, c, next); err != nil {
		return err
	}
	r.logFailing(compiled, plan.Failing())
	return nil
}

// clustersBetween returns the clusters of a change in the history: those that are named, and those
// that came, went or are on another release or in another state afterwards.
func clustersBetween(before, after *view.View, named []string) []string {
	names := slices.Clone(named)
	for _, p := range pairs(before, after) {
		a, b := before.Named(p.Cluster), after.Named(p.Cluster)
		if a == nil || b == nil || a.Release() != b.Release() || a.State != b.State {
			names = append(names, p.Cluster)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// goLiveEverywhere makes a release the live one, for every cluster that nothing keeps elsewhere.
func (r *releaser) goLiveEverywhere(ctx context.Context, c *fleet.Change, t *candidate, doc *fleet.Release, start time.Time) error {
	s, ref := r.state(), t.compiled.Ref
	from := fleet.ReleaseState("")
	if old := r.release(ref.ID()); old != nil {
		from = old.State
	}
	doc.State = fleet.Live
	c.Kind, c.Release = fleet.WentLive, &fleet.ReleaseEvent{Ref: ref, Clusters: t.Clusters, From: from, To: fleet.Live}
	c.Records, c.Deltas, c.Tokens, c.Pins = t.change.Records, t.change.Deltas, t.change.Tokens, t.change.Pins
	c.Assignments, c.Rollout = t.change.Assignments, t.change.Rollout
	c.Releases = append(c.Releases, doc)
	finished := s.Rollout != nil && s.Rollout.Release == ref
	if !finished && !s.Candidate.IsZero() { // What is newer than a rollout that is through waits on.
		c.Candidate = &fleet.ReleaseRef{}
	}
	for id, old := range r.cursor.Load().releases {
		if id != doc.ID && (c.Candidate != nil || id != s.Candidate.ID()) {
			r.supersede(c, old.Ref())
		}
	}
	if err := r.commit(ctx, c, t.next); err != nil {
		return err
	}
	r.log.Info("release is live", "revision", doc.Revision, "generation", r.state().Generation, "clusters", doc.Clusters,
		"took", time.Since(start).Round(time.Millisecond))
	r.logFailing(t.compiled, t.Failing)
	r.logAssignments(c)
	return nil
}

// logFailing logs the clusters that a release is not valid for.
func (r *releaser) logFailing(compiled *fleet.Compiled, failing []fleet.FailingCluster) {
	for _, one := range failing {
		r.log.Error("release is not valid for a cluster, which stays where it is", "revision", compiled.Ref.Revision, "cluster", one.Cluster, "why", one.Reason)
	}
}

// logAssignments logs what became of clusters when a release went live.
func (r *releaser) logAssignments(c *fleet.Change) {
	for _, a := range c.Assignments {
		switch {
		case a.After != nil && a.After.Reason == fleet.ReasonOrphaned:
			r.log.Warn("cluster file has vanished; the cluster stays on its release", "cluster", a.Cluster)
		case a.Before != nil && a.Before.Reason == fleet.ReasonOrphaned && a.After == nil:
			r.log.Info("cluster file is back", "cluster", a.Cluster)
		case a.Before != nil && a.Before.Reason == fleet.ReasonFailing && a.After == nil:
			r.log.Info("release is valid for a cluster again", "cluster", a.Cluster)
		}
	}
	for _, record := range c.Records {
		r.log.Warn("cluster file contradicts a registration, which has ended; the cluster must register again", "cluster", record.Cluster)
	}
}
