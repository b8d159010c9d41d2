package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/impact"
	"github.com/tributary-gitops/tributary/fleet/polls"
	"github.com/tributary-gitops/tributary/fleet/rollout"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// progress returns the progress of the rollout of a view, and whether the next wave may be reached.
func (w *writer) progress(ctx context.Context, v *view.View) (*fleet.RolloutStatus, bool) {
	r := v.State().Rollout
	var names []string
	members := map[string]*view.Member{}
	for _, name := range r.Wave().Clusters {
		if m := v.Named(name); m != nil && m.State == fleet.ClusterActive && m.Unavailable() == nil && m.Release() == r.Release {
			names, members[name] = append(names, name), m
		}
	}
	// Where the store is away, no cluster is known to have polled: another server may have answered
	// something else since.
	last, err := w.lastPolls(ctx, names)
	polled := 0
	if err != nil {
		w.log.Warn("last polls are unknown, so that no rollout goes on", "err", err)
		last = nil
	}
	for name, m := range members {
		if polls.HavePolled(last[name], m.HasSet, r.Release.ID(), r.Generation) {
			polled++
		}
	}
	return rollout.Status(r, len(names), polled, w.cfg.Now())
}

// Advance reaches the next wave of the rollout in progress, if there is one and its present wave is
// through. Run does so while the server leads.
func (c *Controller) Advance(ctx context.Context) error {
	v := c.current.Load()
	if v == nil || v.State().Rollout == nil || v.State().Rollout.Paused != nil {
		return nil
	}
	if _, through := c.progress(ctx, v); !through {
		return nil
	}
	return c.withWriter(ctx, func() error {
		now := c.state().Rollout
		if now == nil || now.Paused != nil || now.Generation != v.State().Rollout.Generation {
			return nil
		}
		return c.releaser.step(ctx, &fleet.Change{At: c.now(), Actor: fleet.OwnActor, Holder: c.holder()})
	})
}

// step reaches the next wave of the rollout. The last wave makes its release live.
func (r *releaser) step(ctx context.Context, c *fleet.Change) error {
	s := r.state()
	ro := s.Rollout
	before, compiled, err := r.served(s)
	if err != nil {
		return err
	}
	wave := &ro.Waves[ro.Step]
	check := func(next *view.View) (*fleet.RolloutPause, error) { return r.exceedsGuard(ctx, before, next, ro) }
	c.Kind, c.Reason = fleet.ReleaseRolledOut, waveReason(c.Reason, wave)
	if ro.Step+1 < len(ro.Waves) {
		c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(wave.Clusters), From: fleet.RollingOut, To: fleet.RollingOut, Wave: wave.Name}
		next := ro.RolloutProgress
		next.Step, next.Since, next.Generation, next.Passed, next.Paused = ro.Step+1, c.At, s.Generation+1, false, nil
		c.Rollout = &fleet.RolloutChange{Progress: &next}
		plan, err := rollout.NewRules(s, lookup(before.Releases())).Step(c)
		if err != nil {
			return err
		}
		return r.reachWave(ctx, c, plan, before, compiled, wave, check)
	}
	t, err := r.evaluate(ctx, compiled, before, s, nil)
	if err != nil {
		return err
	}
	pause := &fleet.RolloutPause{Reason: fleet.PauseInvalid, Detail: oneLine(t.Problems.Faults())}
	if !t.failed() {
		if pause, err = check(t.next); err != nil {
			return err
		}
	}
	if pause != nil {
		return r.pause(ctx, &fleet.Change{At: c.At, Actor: c.Actor, Holder: c.Holder}, *pause, false)
	}
	// What it changes is shown as it was when it was decided on.
	doc := t.document(fleet.Live, s.Generation+1)
	doc.At = c.At
	if old := r.release(doc.ID); old != nil {
		doc.Decisions, doc.Impact, doc.Violations = old.Decisions, old.Impact, old.Violations
	}
	return r.goLiveEverywhere(ctx, c, t, doc, time.Now())
}

// served returns the view of a state in which a release is rolling out, and that release. It is an error
// where this server serves an older state, whose live release may be another one, or lacks the release.
func (r *releaser) served(s *fleet.State) (*view.View, *fleet.Compiled, error) {
	v := r.current.Load()
	if v == nil || v.Generation() != s.Generation {
		return nil, nil, fmt.Errorf("rollout: %w: this server cannot serve what the change log says", fleet.ErrNotReady)
	}
	compiled := v.Compiled(s.Rollout.Release)
	if compiled == nil {
		return nil, nil, fmt.Errorf("rollout: release of %s: %w", s.Rollout.Release.Revision, fleet.ErrUnavailable)
	}
	return v, compiled, nil
}

// exceedsGuard returns why a wave must not be reached: by now it removes more than the guard allows,
// and more than was approved. It is nil where the wave may be reached.
func (r *releaser) exceedsGuard(ctx context.Context, before, next *view.View, ro *fleet.Rollout) (*fleet.RolloutPause, error) {
	sum, violations, err := r.compare(ctx, before.Guard(), before, next)
	if err != nil || len(violations) == 0 {
		return nil, err
	}
	impact.SetDigest(sum, ro.Release, nil)
	if sum.Digest == ro.Confirmed {
		return nil, nil
	}
	if ro.Approved != "" {
		approved, err := r.findRelease(ctx, ro.Release.ID())
		if err != nil {
			return nil, err
		}
		if impact.Covers(approved.Impact, sum) {
			return nil, nil
		}
	}
	return &fleet.RolloutPause{Reason: fleet.PauseGuard, Detail: violations[0].Message, Impact: sum.Digest}, nil
}

// pause pauses the rollout, or records that the source went back while it is paused.
func (r *releaser) pause(ctx context.Context, c *fleet.Change, why fleet.RolloutPause, reverted bool) error {
	ro := r.state().Rollout
	next := ro.RolloutProgress
	next.Paused, next.Reverted = &why, next.Reverted || reverted
	c.Kind, c.Rollout = fleet.ReleaseRolledOut, &fleet.RolloutChange{Progress: &next}
	c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(ro.Wave().Clusters), From: fleet.RollingOut, To: fleet.RollingOut, Pause: &why}
	paused := *ro
	paused.RolloutProgress = next
	status, _ := rollout.Status(&paused, 0, 0, r.cfg.Now())
	c.Reason = "paused: " + status.Reason
	if err := r.commit(ctx, c, nil); err != nil {
		return err
	}
	r.log.Error("rollout is paused", "revision", ro.Release.Revision, "why", status.Reason)
	return nil
}

// end ends the rollout: clusters that it had reached go back, and its release enters a state, which is
// Superseded where the source went back to the live release. The change may have its document already.
func (r *releaser) end(ctx context.Context, c *fleet.Change, s fleet.ReleaseState) error {
	state := r.state()
	ro := state.Rollout
	before, _, err := r.served(state)
	if err != nil {
		return err
	}
	id, reverted := ro.Release.ID(), s == fleet.Superseded
	c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(ro.Wave().Clusters), From: fleet.RollingOut, To: s}
	if at := slices.IndexFunc(c.Releases, func(doc *fleet.Release) bool { return doc.ID == id }); at >= 0 {
		c.Releases[at] = r.entered(c.Releases[at], s, c)
	} else if doc := r.release(id); doc != nil {
		c.Releases = append(c.Releases, r.entered(doc, s, c))
	}
	switch {
	case reverted && !state.Candidate.IsZero():
		r.supersede(c, state.Candidate)
		c.Candidate = &fleet.ReleaseRef{}
	case !reverted && state.Candidate.IsZero():
		c.Candidate = &ro.Release
	}
	plan, err := rollout.NewRules(state, lookup(before.Releases())).End(c, reverted)
	if err != nil {
		return err
	}
	next, _, err := r.realize(ctx, plan, before.Live(), before.Releases(), before)
	if err != nil {
		return err
	}
	if reverted {
		_, violations, err := r.compare(ctx, before.Guard(), before, next)
		if err != nil {
			return err
		}
		if len(violations) > 0 {
			why := fleet.RolloutPause{Reason: fleet.PauseReverted, Detail: violations[0].Message}
			return r.pause(ctx, &fleet.Change{At: c.At, Actor: c.Actor, Holder: c.Holder}, why, true)
		}
	}
	var reached []string
	for _, w := range ro.Waves[:ro.Step] {
		reached = append(reached, w.Clusters...)
	}
	c = plan.Change()
	c.Clusters = clustersBetween(before, next, reached)
	if err := r.commit(ctx, c, next); err != nil {
		return err
	}
	r.log.Warn("rollout ended", "revision", ro.Release.Revision, "state", string(s), "reason", c.Reason)
	return nil
}

// Decide records what somebody decides about a release, and does it. Digest is that of the impact that
// is approved; empty stands for the one that the release has. Where what is served has changed, so
// that the impact differs by now, it is a *GuardError, and the release has the new impact. It is an
// ErrConflict where the verdict does not fit the release's state.
func (c *Controller) Decide(ctx context.Context, w WriteOptions, verdict fleet.Verdict, release, digest string) (*fleet.Release, error) {
	r, err := c.findRelease(ctx, release)
	if err != nil {
		return nil, err
	}
	err = c.withWriter(ctx, func() error {
		ro := c.state().Rollout
		rolling := ro != nil && ro.Release.ID() == r.ID
		now := c.release(r.ID)
		if now == nil {
			now = r // It is neither live, nor rolling out, nor the candidate.
			rolling = false
		}
		if err := rollout.CheckVerdict(now, rolling, verdict); err != nil || w.DryRun {
			return err
		}
		if c.release(r.ID) == nil {
			return fmt.Errorf("release %s: %w: a newer release has replaced it; to go back to it, pin it", r.ID, fleet.ErrConflict)
		}
		reason := string(verdict)
		if w.Reason != "" {
			reason += ": " + w.Reason
		}
		change := &fleet.Change{At: c.now(), Kind: fleet.ReleaseDecided, Actor: w.Actor, Reason: reason}
		return c.releaser.apply(ctx, change, now, fleet.Decision{
			Verdict: verdict, Actor: w.Actor, Reason: w.Reason, At: change.At, Generation: c.state().Generation + 1,
		}, digest)
	})
	if err != nil {
		return nil, err
	}
	return c.Release(ctx, r.ID)
}

// apply does what somebody decided about a release.
func (r *releaser) apply(ctx context.Context, c *fleet.Change, now *fleet.Release, d fleet.Decision, digest string) error {
	if d.Verdict == fleet.Approve {
		return r.approve(ctx, c, now, d, digest)
	}
	after := *now
	after.Decisions = append(slices.Clone(now.Decisions), d)
	c.Releases = []*fleet.Release{&after}
	c.Release = &fleet.ReleaseEvent{Ref: now.Ref(), Clusters: now.Clusters, From: now.State, To: now.State, Decision: &d}
	switch d.Verdict {
	case fleet.Abort:
		return r.end(ctx, c, fleet.Rejected)
	case fleet.Reject:
		after.State, after.At, after.Generation = fleet.Rejected, c.At, d.Generation
		c.Release.To = fleet.Rejected
	default:
		ro := r.state().Rollout
		if why, waiting := r.waitsFor(ctx); d.Verdict == fleet.Resume && ro.Paused == nil && !waiting {
			return fmt.Errorf("release %s: %w: it is neither paused nor at a manual gate: %s", now.ID, fleet.ErrConflict, why)
		}
		next := rollout.Steer(ro, d.Verdict, c.Actor, d.Reason)
		c.Rollout, c.Release.Pause = &fleet.RolloutChange{Progress: &next}, next.Paused
	}
	if err := r.commit(ctx, c, nil); err != nil {
		return err
	}
	r.log.Info("decision", "verdict", string(d.Verdict), "revision", now.Revision, "release", now.ID, "actor", c.Actor, "reason", d.Reason)
	return nil
}

// waitsFor returns what the rollout waits for, and whether that is for somebody to resume it.
func (r *releaser) waitsFor(ctx context.Context) (string, bool) {
	v := r.current.Load()
	if v == nil || v.State().Rollout == nil {
		return "", false
	}
	status, _ := r.progress(ctx, v)
	return status.Reason, status.Phase == fleet.Waiting
}

// approve lets a held release go on, if what it changes is what was approved.
func (r *releaser) approve(ctx context.Context, c *fleet.Change, now *fleet.Release, d fleet.Decision, digest string) error {
	compiled, err := r.loadRelease(ctx, now.Ref(), c.At)
	if err != nil {
		return err
	}
	t, err := r.evaluate(ctx, compiled, r.current.Load(), r.state(), nil)
	if err != nil {
		return err
	}
	t.change.At = c.At
	if digest == "" {
		digest = now.Impact.Digest
	}
	if t.failed() || t.Impact.Digest != digest || t.Impact.Digest != now.Impact.Digest {
		return r.askAgain(ctx, c, now, t)
	}
	d.Impact = digest
	doc := t.document(fleet.RollingOut, d.Generation)
	doc.Decisions = append(slices.Clone(now.Decisions), d)
	return r.start(ctx, c, t, doc, digest, c.At)
}

// askAgain keeps what a held release changes by now, and returns it as a *GuardError.
func (r *releaser) askAgain(ctx context.Context, c *fleet.Change, now *fleet.Release, t *candidate) error {
	if t.failed() {
		return fmt.Errorf("release %s: %w: it is not valid for any cluster any more: %w", now.ID, fleet.ErrConflict, t.Problems.Faults())
	}
	refused := &fleet.GuardError{Impact: t.Impact, Violations: append([]fleet.Violation{{Rule: "approval", Message: fmt.Sprintf(
		"the impact is no longer the one that is approved; look at the release again, and approve %s", t.Impact.Digest)}}, t.Violations...)}
	if t.Impact.Digest == now.Impact.Digest {
		return refused
	}
	doc := t.document(now.State, now.Generation)
	doc.At, doc.Decisions = now.At, now.Decisions
	c.Kind, c.Reason, c.Releases = fleet.ReleaseHeld, "what is served has changed since", []*fleet.Release{doc}
	c.Release = &fleet.ReleaseEvent{Ref: now.Ref(), Clusters: doc.Clusters, From: now.State, To: now.State}
	return errors.Join(refused, r.commit(ctx, c, nil))
}
