package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/position"
	"github.com/tributary-gitops/tributary/fleet/controller/weigh"
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
	v := c.served()
	if v == nil || v.State().Rollout == nil || v.State().Rollout.Paused != nil {
		return nil
	}
	if _, through := c.progress(ctx, v); !through {
		return nil
	}
	var t *candidate
	return c.change(ctx, fleet.OwnActor, "next wave of "+v.State().Rollout.Release.Revision, releasePace, func(ctx context.Context, at *position.Position) (p *proposal, err error) {
		now := at.State.Rollout
		if now == nil || now.Paused != nil || now.Generation != v.State().Rollout.Generation {
			return nil, nil
		}
		p, t, err = c.releaser.step(ctx, at, &fleet.Change{At: c.now(), Actor: fleet.OwnActor, Holder: c.holder()}, t)
		return p, err
	})
}

// step reaches the next wave of the rollout. The last wave makes its release live: earlier is what was
// evaluated for that before another change came, and so is what is returned.
func (r *releaser) step(ctx context.Context, at *position.Position, c *fleet.Change, earlier *candidate) (*proposal, *candidate, error) {
	s := at.State
	ro := s.Rollout
	before, compiled, err := at.RollingOut()
	if err != nil {
		return nil, nil, err
	}
	wave := &ro.Waves[ro.Step]
	check := func(next *view.View) (*fleet.RolloutPause, *fleet.Losses, error) {
		return r.exceedsGuard(ctx, r.weighing(ctx, before, next, s, c.At), ro)
	}
	c.Kind, c.Reason = fleet.ReleaseRolledOut, waveReason(c.Reason, wave)
	if ro.Step+1 < len(ro.Waves) {
		c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(wave.Clusters), From: fleet.RollingOut, To: fleet.RollingOut, Wave: wave.Name}
		next := ro.RolloutProgress
		next.Step, next.Since, next.Generation, next.Passed, next.Paused = ro.Step+1, c.At, s.Generation+1, false, nil
		c.Rollout = &fleet.RolloutChange{Progress: &next}
		plan, err := rollout.NewRules(s, lookup(before.Releases())).Step(c)
		if err != nil {
			return nil, nil, err
		}
		p, err := r.reachWave(ctx, at, c, plan, before, compiled, wave, check)
		return p, nil, err
	}
	t, err := r.evaluate(ctx, compiled, before, s, earlier)
	if err != nil {
		return nil, nil, err
	}
	pause := &fleet.RolloutPause{Reason: fleet.PauseInvalid, Detail: oneLine(t.Problems.Faults())}
	if !t.failed() {
		if pause, c.Losses, err = check(t.next); err != nil {
			return nil, nil, err
		}
	}
	if pause != nil {
		return r.pause(at, &fleet.Change{At: c.At, Actor: c.Actor, Holder: c.Holder}, *pause, false), t, nil
	}
	// What it changes is shown as it was when it was decided on.
	doc := t.document(fleet.Live, s.Generation+1)
	doc.At = c.At
	if old := at.Releases[doc.ID]; old != nil {
		doc.Decisions, doc.Impact, doc.Violations, doc.Commit = old.Decisions, old.Impact, old.Violations, old.Commit
	}
	return r.goLiveEverywhere(at, c, t, doc, time.Now()), t, nil
}

// exceedsGuard returns why a wave must not be reached: by now it does more than the guard allows,
// and more than was approved. Where the wave may be reached, it returns what clusters lose by it that
// nobody approved or confirmed.
func (r *releaser) exceedsGuard(ctx context.Context, w weigh.Change, ro *fleet.Rollout) (*fleet.RolloutPause, *fleet.Losses, error) {
	sum, violations, err := w.Compare(w.Before.Guard())
	if err != nil {
		return nil, nil, err
	}
	lost := w.Lost(sum)
	if len(violations) == 0 && lost == nil {
		return nil, nil, nil
	}
	if impact.SetDigest(sum, nil); sum.Digest == ro.Confirmed {
		return nil, nil, nil
	}
	if ro.Approved != "" {
		approved, err := r.findRelease(ctx, ro.Release.ID())
		if err != nil {
			return nil, nil, err
		}
		if impact.Covers(approved.Impact, sum) {
			return nil, nil, nil
		}
	}
	if len(violations) == 0 {
		return nil, lost, nil
	}
	var why []string
	for _, v := range violations {
		why = append(why, v.Message)
	}
	return &fleet.RolloutPause{Reason: fleet.PauseGuard, Detail: strings.Join(why, "; "), Impact: sum.Digest, Removes: impact.LossesOf(sum), Reowned: sum.Reowned}, nil, nil
}

// pause pauses the rollout, or records that the source went back while it is paused.
func (r *releaser) pause(at *position.Position, c *fleet.Change, why fleet.RolloutPause, reverted bool) *proposal {
	ro := at.State.Rollout
	next := ro.RolloutProgress
	next.Paused, next.Reverted = &why, next.Reverted || reverted
	c.Kind, c.Rollout = fleet.ReleaseRolledOut, &fleet.RolloutChange{Progress: &next}
	c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(ro.Wave().Clusters), From: fleet.RollingOut, To: fleet.RollingOut, Pause: &why}
	paused := *ro
	paused.RolloutProgress = next
	status, _ := rollout.Status(&paused, 0, 0, r.cfg.Now())
	c.Reason = "paused: " + status.Reason
	return &proposal{change: c, done: func() {
		r.log.Error("rollout is paused", "revision", ro.Release.Revision, "why", status.Reason)
	}}
}

// end ends the rollout: clusters that it had reached go back, and its release enters a state, which is
// Superseded where the source went back to the live release. The change may have its document already.
// Where going back removes more than the guard allows, the source's going back pauses the rollout, and an
// abort is a *fleet.GuardError, unless it was confirmed by the digest of what it changes.
func (r *releaser) end(ctx context.Context, at *position.Position, c *fleet.Change, s fleet.ReleaseState, confirmed string) (*proposal, error) {
	state := at.State
	ro := state.Rollout
	before, _, err := at.RollingOut()
	if err != nil {
		return nil, err
	}
	id, reverted := ro.Release.ID(), s == fleet.Superseded
	c.Release = &fleet.ReleaseEvent{Ref: ro.Release, Clusters: len(ro.Wave().Clusters), From: fleet.RollingOut, To: s}
	if i := slices.IndexFunc(c.Releases, func(doc *fleet.Release) bool { return doc.ID == id }); i >= 0 {
		c.Releases[i] = at.Entered(c.Releases[i], s, c)
	} else if doc := at.Releases[id]; doc != nil {
		c.Releases = append(c.Releases, at.Entered(doc, s, c))
	}
	switch {
	case reverted && !state.Candidate.IsZero():
		at.Supersede(c, state.Candidate)
		c.Candidate = &fleet.ReleaseRef{}
	case !reverted && state.Candidate.IsZero():
		c.Candidate = &ro.Release
	}
	plan, err := rollout.NewRules(state, lookup(before.Releases())).End(c, reverted)
	if err != nil {
		return nil, err
	}
	next, _, err := r.realize(ctx, plan, before.Live(), before.Releases(), before)
	if err != nil {
		return nil, err
	}
	w := r.weighing(ctx, before, next, state, c.At)
	sum, violations, err := w.Compare(before.Guard())
	if err != nil {
		return nil, err
	}
	impact.SetDigest(sum, nil)
	switch {
	case reverted && len(violations) > 0:
		why := fleet.RolloutPause{Reason: fleet.PauseReverted, Detail: violations[0].Message}
		return r.pause(at, &fleet.Change{At: c.At, Actor: c.Actor, Holder: c.Holder}, why, true), nil
	case sum.Digest == confirmed:
	case len(violations) > 0:
		return nil, &fleet.GuardError{Impact: sum, Violations: violations}
	default:
		c.Losses = w.Lost(sum)
	}
	var reached []string
	for _, w := range ro.Waves[:ro.Step] {
		reached = append(reached, w.Clusters...)
	}
	c = plan.Change()
	c.Clusters = clustersBetween(before, next, reached)
	return &proposal{change: c, next: next, done: func() {
		r.log.Warn("rollout ended", "revision", ro.Release.Revision, "state", string(s), "reason", c.Reason)
	}}, nil
}

// Decide records what somebody decides about a release, and does it. Digest is that of the impact that
// is approved; empty stands for the one that the release has. Where what is served has changed, so
// that the impact differs by now, it is a *GuardError, and the release has the new impact. It is an
// ErrConflict where the verdict does not fit the release's state. Of an abort, the digest confirms what
// going back removes, where that is more than the guard allows; without it, it is a *GuardError too.
func (c *Controller) Decide(ctx context.Context, w WriteOptions, verdict fleet.Verdict, release, digest string) (*fleet.Release, error) {
	r, err := c.findRelease(ctx, release)
	if err != nil {
		return nil, err
	}
	var t *candidate
	err = c.change(ctx, w.Actor, string(verdict)+" "+r.ID, releasePace, func(ctx context.Context, at *position.Position) (p *proposal, err error) {
		known := at.Releases[r.ID]
		now := cmp.Or(known, r)
		if err := rollout.CheckVerdict(now, known != nil && position.RolloutRef(at.State).ID() == r.ID, verdict); err != nil || w.DryRun {
			return nil, err
		}
		if known == nil { // It is neither live, nor rolling out, nor the candidate.
			return nil, fmt.Errorf("release %s: %w: a newer release has replaced it; to go back to it, pin it", r.ID, fleet.ErrConflict)
		}
		reason := string(verdict)
		if w.Reason != "" {
			reason += ": " + w.Reason
		}
		change := &fleet.Change{At: c.now(), Kind: fleet.ReleaseDecided, Actor: w.Actor, Reason: reason}
		d := fleet.Decision{Verdict: verdict, Actor: w.Actor, Reason: w.Reason, At: change.At, Generation: at.State.Generation + 1}
		if verdict == fleet.Approve {
			p, t, err = c.releaser.approve(ctx, at, change, now, d, digest, t)
			return p, err
		}
		return c.releaser.apply(ctx, at, change, now, d, digest)
	})
	if err != nil {
		return nil, err
	}
	return c.Release(context.WithoutCancel(ctx), r.ID) // it is decided
}

// apply does what somebody decided about a release, other than to approve it.
func (r *releaser) apply(ctx context.Context, at *position.Position, c *fleet.Change, now *fleet.Release, d fleet.Decision, digest string) (*proposal, error) {
	after := *now
	after.Decisions = append(slices.Clone(now.Decisions), d)
	c.Releases = []*fleet.Release{&after}
	c.Release = &fleet.ReleaseEvent{Ref: now.Ref(), Clusters: now.Clusters, From: now.State, To: now.State, Decision: &d}
	switch d.Verdict {
	case fleet.Abort:
		return r.end(ctx, at, c, fleet.Rejected, digest)
	case fleet.Reject:
		after.State, after.At, after.Generation = fleet.Rejected, c.At, d.Generation
		c.Release.To = fleet.Rejected
	default:
		ro := at.State.Rollout
		if why, waiting := r.waitsFor(ctx, at); d.Verdict == fleet.Resume && ro.Paused == nil && !waiting {
			return nil, fmt.Errorf("release %s: %w: it is neither paused nor at a manual gate: %s", now.ID, fleet.ErrConflict, why)
		}
		next := rollout.Steer(ro, d.Verdict, c.Actor, d.Reason)
		c.Rollout, c.Release.Pause = &fleet.RolloutChange{Progress: &next}, next.Paused
	}
	return &proposal{change: c, done: func() {
		r.log.Info("decision", "verdict", string(d.Verdict), "revision", now.Revision, "release", now.ID, "actor", c.Actor, "reason", d.Reason)
	}}, nil
}

// waitsFor returns what the rollout waits for, and whether that is for somebody to resume it.
func (r *releaser) waitsFor(ctx context.Context, at *position.Position) (string, bool) {
	if at.View == nil || at.View.State().Rollout == nil {
		return "", false
	}
	status, _ := r.progress(ctx, at.View)
	return status.Reason, status.Phase == fleet.Waiting
}

// approve lets a held release go on, if what it changes is what was approved. Earlier is what was
// evaluated before another change came, and so is what is returned.
func (r *releaser) approve(ctx context.Context, at *position.Position, c *fleet.Change, now *fleet.Release, d fleet.Decision, digest string, earlier *candidate) (*proposal, *candidate, error) {
	compiled, err := r.loadOnce(ctx, now, c.At, earlier)
	if err != nil {
		return nil, nil, err
	}
	t, err := r.evaluate(ctx, compiled, at.View, at.State, earlier)
	if err != nil {
		return nil, nil, err
	}
	t.change.At = c.At
	if digest == "" {
		digest = now.Impact.Digest
	}
	if t.failed() || t.Impact.Digest != digest || t.Impact.Digest != now.Impact.Digest {
		p, err := r.askAgain(c, now, t)
		return p, t, err
	}
	d.Impact = digest
	t.commit = now.Commit
	doc := t.document(fleet.RollingOut, d.Generation)
	doc.Decisions = append(slices.Clone(now.Decisions), d)
	p, err := r.start(ctx, at, c, t, doc, digest, c.At)
	return p, t, err
}

// loadOnce returns a compiled release, that of an earlier evaluation if there was one.
func (r *releaser) loadOnce(ctx context.Context, now *fleet.Release, at time.Time, earlier *candidate) (*fleet.Compiled, error) {
	if earlier != nil {
		return earlier.compiled, nil
	}
	return r.loadRelease(ctx, now.Ref(), at)
}

// askAgain keeps what a held release changes by now, and returns it as a *GuardError.
func (r *releaser) askAgain(c *fleet.Change, now *fleet.Release, t *candidate) (*proposal, error) {
	if t.failed() {
		return nil, fmt.Errorf("release %s: %w: it is not valid for any cluster any more: %w", now.ID, fleet.ErrConflict, t.Problems.Faults())
	}
	refused := &fleet.GuardError{Impact: t.Impact, Violations: append([]fleet.Violation{{Rule: "approval", Message: fmt.Sprintf(
		"the impact is no longer the one that is approved; look at the release again, and approve %s", t.Impact.Digest)}}, t.Violations...)}
	if t.Impact.Digest == now.Impact.Digest {
		return nil, refused
	}
	doc := t.document(now.State, now.Generation)
	doc.At, doc.Decisions, doc.Commit = now.At, now.Decisions, now.Commit
	c.Kind, c.Reason, c.Releases = fleet.ReleaseHeld, "what is served has changed since", []*fleet.Release{doc}
	c.Release = &fleet.ReleaseEvent{Ref: now.Ref(), Clusters: doc.Clusters, From: now.State, To: now.State}
	return &proposal{change: c, err: refused}, nil
}
