package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/position"
	"github.com/tributary-gitops/tributary/fleet/controller/weigh"
	"github.com/tributary-gitops/tributary/fleet/impact"
	"github.com/tributary-gitops/tributary/fleet/rollout"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// takeRevision makes a release of what the source holds now: it compiles the snapshot, evaluates it
// for every cluster against what is served, stores it, decides, and, with the lock held, commits. Where
// something moved meanwhile, it evaluates that and decides again. The release fails, is held, starts to
// roll out, or goes live.
func (r *releaser) takeRevision(ctx context.Context, s *fleet.Snapshot) error {
	start := time.Now()
	if done, err := r.returnTo(ctx, s.Revision); done || err != nil {
		return err
	}
	compiled, packed, err := r.compile(ctx, s)
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	var c *candidate
	err = r.change(ctx, fleet.SourceActor, "release of "+s.Revision, releasePace, func(ctx context.Context, at *position.Position) (*proposal, error) {
		if at.Revision() == s.Revision || position.RolloutRef(at.State) == compiled.Ref {
			return nil, nil // An earlier try was kept after all.
		}
		now, err := r.evaluate(ctx, compiled, at.View, at.State, c)
		if err == nil && c == nil {
			err = r.evaluated(ctx, now, packed, start)
		}
		if err != nil {
			return nil, err
		}
		c, now.commit = now, s.Commit
		return r.decide(ctx, at, c, start)
	})
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	return nil
}

// evaluated reports a release that was evaluated for the first time, and stores its snapshot.
func (r *releaser) evaluated(ctx context.Context, c *candidate, packed *fleet.Packed, start time.Time) error {
	r.metrics.ObserveEvaluation(time.Since(start), !c.failed())
	for _, p := range c.Problems.Warnings() {
		r.log.Warn("fleet repo", "revision", c.compiled.Ref.Revision, "problem", p.String())
	}
	if packed == nil || c.failed() {
		return nil
	}
	return r.cfg.Store.SaveSnapshot(ctx, packed)
}

// decide decides what becomes of a new release.
func (r *releaser) decide(ctx context.Context, at *position.Position, c *candidate, start time.Time) (*proposal, error) {
	change := &fleet.Change{At: c.change.At, Actor: fleet.SourceActor, Holder: r.holder()}
	rejected, err := r.wasRejected(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case c.failed():
		return r.fail(at, change, c.document(fleet.Failed, 0)), nil
	case rejected:
		return r.hold(at, change, c, fleet.Rejected), nil
	case len(c.Violations) > 0 && !c.isApprovedByCommit():
		return r.hold(at, change, c, fleet.Held), nil
	}
	s := at.State
	if c.before == nil && s.Live != nil && s.LiveRef() != c.compiled.Ref {
		c.Violations = append(c.Violations, fleet.Violation{Rule: "served", Message: fmt.Sprintf(
			"what clusters were served, release of %s, cannot be loaded here, so that nobody can tell what they would lose", s.Live.Revision)})
		return r.hold(at, change, c, fleet.Held), nil
	}
	if s.Rollout != nil && s.Rollout.Paused != nil {
		c.Violations = append(c.Violations, fleet.Violation{Rule: "rollout", Message: fmt.Sprintf(
			"the rollout of %s is paused: resume or abort it, or approve this release, which then takes over", s.Rollout.Release.Revision)})
		return r.hold(at, change, c, fleet.Held), nil
	}
	doc, approved := c.document(fleet.RollingOut, s.Generation+1), ""
	if len(c.Violations) > 0 {
		approved, change.Reason = c.Impact.Digest, fmt.Sprintf("its commit approves the impact: %s: %s", fleet.ApproveTrailer, c.Impact.Digest)
		doc.Decisions = []fleet.Decision{{
			Verdict: fleet.Approve, Actor: fleet.SourceActor, Reason: "approved by the commit of " + cmp.Or(c.commit.Author, "an unknown author"),
			At: change.At, Generation: s.Generation + 1, Impact: approved,
		}}
	}
	return r.start(ctx, at, change, c, doc, approved, start)
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
	if c := r.served().Compiled(fleet.ReleaseRef{Revision: s.Revision, Snapshot: digest}); c != nil {
		return c, packed, nil
	}
	c, err := fleet.Compile(ctx, r.cfg.Renderer, s, digest, r.now())
	return c, packed, err
}

// returnTo decides what becomes of others where the source went back to a revision that is known.
// It reports whether nothing else is to be done about the revision.
func (r *releaser) returnTo(ctx context.Context, revision string) (done bool, err error) {
	err = r.change(ctx, fleet.SourceActor, "return to "+revision, releasePace, func(ctx context.Context, at *position.Position) (*proposal, error) {
		if done = at.Knows(revision); !done {
			return nil, nil
		}
		switch ro := at.State.Rollout; {
		case at.Revision() != revision && ro != nil && ro.Release.Revision == revision && at.View != nil:
			return r.dropCandidate(at), nil
		case at.Revision() != revision:
			return nil, nil // It is the candidate.
		case ro == nil:
			return r.dropCandidate(at), nil
		case ro.Reverted:
			return nil, nil
		case ro.Paused != nil:
			// The user who paused it decides.
			c := &fleet.Change{At: r.now(), Actor: fleet.SourceActor, Holder: r.holder()}
			return r.pause(at, c, *ro.Paused, true), nil
		}
		c := &fleet.Change{At: r.now(), Kind: fleet.ReleaseRolledOut, Actor: fleet.SourceActor, Holder: r.holder(), Reason: "the source went back to the live release"}
		return r.end(ctx, at, c, fleet.Superseded, "")
	})
	return done, err
}

// dropCandidate forgets the candidate, where the fleet goes to what the source holds.
func (r *releaser) dropCandidate(at *position.Position) *proposal {
	s := at.State
	if s.Candidate.IsZero() {
		return nil
	}
	c := &fleet.Change{At: r.now(), Kind: fleet.ReleaseRolledOut, Actor: fleet.SourceActor, Holder: r.holder(), Candidate: &fleet.ReleaseRef{},
		Reason: "the source went back to the release that the fleet goes to"}
	if old := at.Candidate(); old != nil {
		c.Release = &fleet.ReleaseEvent{Ref: s.Candidate, Clusters: old.Clusters, From: old.State, To: old.State}
	}
	at.Supersede(c, s.Candidate)
	return &proposal{change: c}
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
func (r *releaser) fail(at *position.Position, c *fleet.Change, failed *fleet.Release) *proposal {
	old := at.Candidate()
	if old != nil && old.ID == failed.ID && old.State == fleet.Failed && slices.Equal(old.Problems.Faults(), failed.Problems.Faults()) {
		return nil
	}
	failed.Digest, failed.Impact, failed.Violations, failed.Generation = "", nil, nil, at.State.Generation+1
	c.Kind, c.Release = fleet.ReleaseFailed, &fleet.ReleaseEvent{Ref: failed.Ref(), Clusters: failed.Clusters, To: fleet.Failed}
	at.Propose(c, failed)
	return &proposal{change: c, done: func() {
		for _, p := range failed.Problems.Faults() {
			r.log.Error("fleet repo", "revision", failed.Revision, "problem", p.String())
		}
		r.log.Error("release failed", "revision", failed.Revision, "faults", len(failed.Problems.Faults()), "commit", failed.Commit)
	}}
}

// refuse records that the source holds a revision that cannot be made into a snapshot.
func (r *releaser) refuse(ctx context.Context, refused *fleet.RefusedError) error {
	return r.change(ctx, fleet.SourceActor, "release of "+refused.Revision, releasePace, func(_ context.Context, at *position.Position) (*proposal, error) {
		c := &fleet.Change{At: r.now(), Actor: fleet.SourceActor, Holder: r.holder()}
		return r.fail(at, c, &fleet.Release{
			ID: fleet.ReleaseID(refused.Revision), Revision: refused.Revision, State: fleet.Failed, At: c.At, Problems: fleet.Problems{refused.Problem},
		}), nil
	})
}

// hold keeps a release for a decision, or keeps the decision that there was.
func (r *releaser) hold(at *position.Position, c *fleet.Change, held *candidate, s fleet.ReleaseState) *proposal {
	doc := held.document(s, at.State.Generation+1)
	c.Kind, c.Release = fleet.ReleaseHeld, &fleet.ReleaseEvent{Ref: held.compiled.Ref, Clusters: held.Clusters, To: s}
	at.Propose(c, doc)
	return &proposal{change: c, done: func() {
		for _, v := range doc.Violations {
			r.log.Error("release is held", "revision", doc.Revision, "release", doc.ID, "rule", v.Rule, "why", v.Message)
		}
		log := r.log.With("revision", doc.Revision, "release", doc.ID, "state", string(s),
			"clusters", doc.Impact.Clusters, "removed", doc.Impact.Removed, "moved", doc.Impact.Moved, "lost", impact.Losses(doc.Impact, 5), "commit", doc.Commit)
		if fleet.NeedFix(doc.Violations) {
			log.Error("release waits for its commit to be fixed")
		} else {
			log.Error("release waits for a decision")
		}
	}}
}

// start starts to roll a release out, by the waves of the live release, or makes it live at once
// where there are none. Doc is its document, and approved the digest of the impact that was approved;
// empty where none had to be.
func (r *releaser) start(ctx context.Context, at *position.Position, c *fleet.Change, t *candidate, doc *fleet.Release, approved string, start time.Time) (*proposal, error) {
	s := at.State
	rules := rollout.NewRules(s, lookup(t.before.Releases()))
	waves, added := rules.Waves(t.compiled)
	if t.before == nil || len(waves) < 2 {
		if approved == "" {
			c.Losses = t.weighing.Lost(t.Impact)
		}
		return r.goLiveEverywhere(at, c, t, doc, start), nil
	}
	ro := &fleet.Rollout{Release: t.compiled.Ref, Waves: waves, New: added,
		RolloutProgress: fleet.RolloutProgress{Step: 1, Since: c.At, Generation: s.Generation + 1, Approved: approved}}
	c.Kind, c.Reason, c.Rollout = fleet.ReleaseRolledOut, waveReason(c.Reason, ro.Wave()), &fleet.RolloutChange{Started: ro}
	c.Releases = append(c.Releases, doc)
	if s.Rollout != nil {
		at.Supersede(c, s.Rollout.Release)
	}
	if !s.Candidate.IsZero() {
		if s.Candidate.ID() != doc.ID {
			at.Supersede(c, s.Candidate)
		}
		c.Candidate = &fleet.ReleaseRef{}
	}
	c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(ro.Wave().Clusters), From: doc.State, To: fleet.RollingOut, Wave: ro.Wave().Name}
	r.dropContradicted(c, s, rules.Contradicted(t.compiled))
	plan, err := rules.Start(c, t.compiled)
	if err != nil {
		return nil, err
	}
	check := func(next *view.View) (*fleet.RolloutPause, *fleet.Losses, error) {
		if approved != "" {
			return nil, nil, nil
		}
		w := r.weighing(ctx, t.before, next, s, c.At)
		sum, _, err := w.Compare(t.before.Guard())
		if err != nil {
			return nil, nil, err
		}
		return nil, w.Lost(sum), nil
	}
	return r.reachWave(ctx, at, c, plan, t.before, t.compiled, ro.Wave(), check, t.next)
}

// waveReason says in the history that a wave was reached.
func waveReason(given string, w *fleet.Wave) string {
	text := fmt.Sprintf("wave %s: %d clusters", w.Name, len(w.Clusters))
	if given != "" {
		text = given + "; " + text
	}
	return text
}

// reachWave renders the clusters of a wave. Check is asked whether the wave may be reached, and returns
// why not, or what clusters lose by it that nobody approved.
func (r *releaser) reachWave(ctx context.Context, at *position.Position, c *fleet.Change, plan *rollout.Plan, before *view.View, compiled *fleet.Compiled, w *fleet.Wave,
	check func(next *view.View) (*fleet.RolloutPause, *fleet.Losses, error), others ...*view.View) (*proposal, error) {
	known, err := r.loadReleases(ctx, plan.State(), view.Releases{compiled.Ref: compiled})
	if err != nil {
		return nil, err
	}
	next, _, err := r.realize(ctx, plan, before.Live(), known, append([]*view.View{before}, others...)...)
	if err != nil {
		return nil, err
	}
	pause, losses, err := check(next)
	if err != nil {
		return nil, err
	}
	if pause != nil {
		return r.pause(at, &fleet.Change{At: c.At, Actor: c.Actor, Holder: c.Holder}, *pause, false), nil
	}
	c = plan.Change()
	c.Losses = losses
	c.Clusters = clustersBetween(before, next, w.Clusters)
	return &proposal{change: c, next: next, done: func() {
		r.logFailing(compiled, plan.Failing())
		r.log.Info("release is rolling out", "revision", compiled.Ref.Revision, "release", compiled.Ref.ID(), "wave", w.Name, "clusters", len(w.Clusters))
	}}, nil
}

// clustersBetween returns the clusters of a change in the history: those that are named, and those
// that came, went or are on another release or in another state afterwards.
func clustersBetween(before, after *view.View, named []string) []string {
	names := slices.Clone(named)
	for _, p := range weigh.Pairs(before, after) {
		a, b := before.Named(p.Cluster), after.Named(p.Cluster)
		if a == nil || b == nil || a.Release() != b.Release() || a.State != b.State {
			names = append(names, p.Cluster)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// goLiveEverywhere makes a release the live one, for every cluster that nothing keeps elsewhere.
func (r *releaser) goLiveEverywhere(at *position.Position, c *fleet.Change, t *candidate, doc *fleet.Release, start time.Time) *proposal {
	s, ref := at.State, t.compiled.Ref
	from := fleet.ReleaseState("")
	if old := at.Releases[ref.ID()]; old != nil {
		from = old.State
	}
	doc.State, doc.LiveAt = fleet.Live, c.At
	c.Kind, c.Release = fleet.WentLive, &fleet.ReleaseEvent{Ref: ref, Clusters: t.Clusters, From: from, To: fleet.Live}
	c.Records, c.Deltas, c.Tokens, c.Pins = t.change.Records, t.change.Deltas, t.change.Tokens, t.change.Pins
	c.Assignments, c.Rollout = t.change.Assignments, t.change.Rollout
	c.Releases = append(c.Releases, doc)
	finished := s.Rollout != nil && s.Rollout.Release == ref
	if !finished && !s.Candidate.IsZero() { // What is newer than a rollout that is through waits on.
		c.Candidate = &fleet.ReleaseRef{}
	}
	for id, old := range at.Releases {
		if id != doc.ID && (c.Candidate != nil || id != s.Candidate.ID()) {
			at.Supersede(c, old.Ref())
		}
	}
	return &proposal{change: c, next: t.next, done: func() {
		r.log.Info("release is live", "revision", doc.Revision, "generation", c.Generation, "clusters", doc.Clusters,
			"took", time.Since(start).Round(time.Millisecond), "commit", doc.Commit)
		r.logFailing(t.compiled, t.Failing)
		r.logAssignments(c)
	}}
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
