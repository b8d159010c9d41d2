package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Decide has somebody decide on a release. Digest is that of the impact that is
// approved; empty stands for the one that the release has. Where what is served has
// changed such that it is another by now, it is a *GuardError, and the release has the
// new one. It is an ErrConflict where the release is in no state for the verdict.
func (f *Fleet) Decide(ctx context.Context, w Write, verdict Verdict, release, digest string) (*Release, error) {
	r, err := f.Release(ctx, release)
	if err != nil {
		return nil, err
	}
	err = f.inTurn(ctx, func() error {
		c := &Change{At: f.now(), Kind: ReleaseDecided, Actor: w.Actor, Reason: verdict.reason(w.Reason)}
		now := f.head.releases[r.ID]
		if now == nil {
			return f.undecidable(r, verdict)
		}
		if w.DryRun {
			return f.mayDecide(now, verdict)
		}
		return f.decide(ctx, c, now, verdict, digest, w.Reason)
	})
	if err != nil {
		return nil, err
	}
	return f.Release(ctx, r.ID)
}

// reason is what the change log says of a verdict.
func (v Verdict) reason(given string) string {
	if given == "" {
		return string(v)
	}
	return string(v) + ": " + given
}

// undecidable is why a verdict does not fit the state that a release is in.
func (f *Fleet) undecidable(r *Release, verdict Verdict) error {
	what := "it is " + string(r.State)
	if ro := f.head.rollout(); ro != nil && releaseID(ro.Release.Revision) == r.ID {
		what = "it is being rolled out"
	} else if r.State == Live {
		what += " for the whole fleet"
	}
	switch verdict {
	case Approve, Reject:
		return fmt.Errorf("release %s: %w: %s; only a held one can be approved or rejected", r.ID, ErrConflict, what)
	case Pause, Resume, Skip, Abort:
		return fmt.Errorf("release %s: %w: %s; only one that is being rolled out can be paused, resumed, skipped and aborted; to go back to an earlier release, pin that", r.ID, ErrConflict, what)
	}
	return fmt.Errorf("verdict %q: %w: it must be approve, reject, pause, resume, skip or abort", verdict, ErrInvalid)
}

func (f *Fleet) mayDecide(r *Release, verdict Verdict) error {
	ro := f.head.rollout()
	rolling := ro != nil && releaseID(ro.Release.Revision) == r.ID
	switch {
	case verdict == Approve && (r.State == Held || r.State == Rejected) && !rolling:
	case verdict == Reject && r.State == Held:
	case slices.Contains([]Verdict{Pause, Resume, Skip, Abort}, verdict) && rolling:
	default:
		return f.undecidable(r, verdict)
	}
	return nil
}

// decide makes a decision, as a change that is begun.
func (f *Fleet) decide(ctx context.Context, c *Change, r *Release, verdict Verdict, digest, reason string) error {
	if err := f.mayDecide(r, verdict); err != nil {
		return err
	}
	d := Decision{Verdict: verdict, Actor: c.Actor, Reason: reason, At: c.At, Generation: f.head.generation + 1}
	after := *r
	c.Release = &LiveRelease{Revision: r.Revision, Snapshot: r.Digest, Clusters: r.Clusters}
	switch verdict {
	case Approve:
		return f.approve(ctx, c, r, d, digest)
	case Reject:
		after.State, after.At, after.Generation = Rejected, c.At, d.Generation
	case Abort:
		after.Decisions = append(slices.Clone(r.Decisions), d)
		c.Releases = []*Release{&after}
		return f.endRollout(ctx, c, Rejected)
	default:
		ro := *f.head.rollout()
		if why, waiting := f.waits(ctx); verdict == Resume && ro.Paused == "" && !waiting {
			return fmt.Errorf("release %s: %w: it is neither paused nor at a manual gate: %s", r.ID, ErrConflict, why)
		}
		ro.steer(verdict, c)
		c.Lineup = f.head.lineup.with(&ro)
	}
	after.Decisions = append(slices.Clone(r.Decisions), d)
	c.Releases = []*Release{&after}
	if err := f.commit(ctx, c, f.current.Load()); err != nil {
		return err
	}
	f.log.Info("decision", "verdict", string(verdict), "revision", r.Revision, "release", r.ID, "actor", c.Actor, "reason", reason)
	return nil
}

// waits tells whether the rollout waits for somebody, and what for else.
func (f *Fleet) waits(ctx context.Context) (string, bool) {
	v := f.current.Load()
	if v == nil || v.rollout() == nil {
		return "", false
	}
	status := f.progress(ctx, v).status
	return status.Reason, status.Phase == Waiting
}

// steer is what a verdict makes of a rollout.
func (r *Rollout) steer(verdict Verdict, c *Change) {
	switch verdict {
	case Pause:
		r.Paused = "paused by " + c.Actor
		if reason := c.Reason; reason != string(Pause) {
			r.Paused += ": " + reason[len(Pause)+2:]
		}
	case Resume:
		r.Passed = r.Passed || r.Paused == "" || r.Beyond != ""
		r.Paused, r.Confirmed, r.Beyond = "", r.Beyond, ""
	case Skip:
		r.Passed, r.Paused, r.Confirmed, r.Beyond = true, "", r.Beyond, ""
	}
}

// approve has a held release go on, if what it takes away is what was approved.
func (f *Fleet) approve(ctx context.Context, c *Change, r *Release, d Decision, digest string) error {
	b, err := f.revive(ctx, releaseKey{r.Revision, r.Digest}, c.At)
	if err != nil {
		return err
	}
	before := f.current.Load()
	t, err := f.try(ctx, b, before, f.head.state, nil)
	if err != nil {
		return err
	}
	t.change.At = c.At
	if digest == "" {
		digest = r.Impact.Digest
	}
	if t.failed() || t.impact.Digest != digest || t.impact.Digest != r.Impact.Digest {
		return f.askAgain(ctx, c, r, t)
	}
	after := t.release(Live, d.Generation)
	d.Impact = digest
	after.Decisions = append(slices.Clone(r.Decisions), d)
	return f.startAs(ctx, c, t, after, digest, c.At)
}

// askAgain keeps what a held release takes away by now, and returns it.
func (f *Fleet) askAgain(ctx context.Context, c *Change, r *Release, t *trial) error {
	if t.failed() {
		return fmt.Errorf("release %s: %w: it is good for no cluster any more: %w", r.ID, ErrConflict, t.problems.Faults())
	}
	refused := &GuardError{Impact: t.impact, Violations: t.violations}
	refused.Violations = append([]Violation{{Rule: "approval", Message: fmt.Sprintf(
		"what is approved is another impact than there is now; look at it, and approve %s", t.impact.Digest)}}, refused.Violations...)
	if t.impact.Digest == r.Impact.Digest {
		return refused
	}
	after := t.release(r.State, r.Generation)
	after.At, after.Decisions = r.At, r.Decisions
	c.Kind, c.Reason, c.Releases = ReleaseHeld, "what is served has changed since", []*Release{after}
	return errors.Join(refused, f.commit(ctx, c, f.current.Load()))
}

// endRollout gives clusters that a rollout had reached the release that they were on
// before, and its release that state.
func (f *Fleet) endRollout(ctx context.Context, c *Change, s State) error {
	before, ro := f.current.Load(), f.head.rollout()
	b := before.rolling()
	if b == nil {
		return fmt.Errorf("rollout: release of %s: %w", ro.Release.Revision, errLost)
	}
	d := newDraft(f.head.state)
	before.unreach(d, ro, b)
	c.Release, c.Lineup = &ro.Release, f.head.lineup.with(nil)
	id := releaseID(ro.Release.Revision)
	f.ended(c, id, s)
	if s == Rejected && c.Lineup.Candidate == "" {
		c.Lineup.Candidate, c.Lineup.Snapshot = id, ro.Release.Snapshot
	}
	if s == Superseded {
		f.supersede(c, c.Lineup.Candidate)
		c.Lineup = &Lineup{}
	}
	next := &View{base: before.base, marks: f.marks, bases: before.adding()}
	if _, _, err := f.settle(ctx, next, before, c, d, f.head.state, before.base, map[string]bool{}, before); err != nil {
		return err
	}
	if s == Superseded {
		if stop, err := tooFarBack(before, next); err != nil || stop != nil {
			if err != nil {
				return err
			}
			return f.pauseAt(ctx, c, stop)
		}
	}
	c.Clusters = before.touched(next, ro.Waves[:ro.Reached]...)
	if err := f.commit(ctx, c, next); err != nil {
		return err
	}
	f.log.Warn("rollout is over", "revision", ro.Release.Revision, "state", string(s), "reason", c.Reason)
	return nil
}

// tooFarBack returns why a rollout must not end by itself, with clusters going back to
// the live release: that takes away more than the guard allows. It is nil where it may.
func tooFarBack(before, next *View) (*stop, error) {
	_, violations, err := weigh(before.base.repo.Guard(), before, next)
	if err != nil || len(violations) == 0 {
		return nil, err
	}
	return &stop{why: wentBack + ", which takes away more than the guard allows: " + violations[0].Message + "; " + backOrOn, back: true}, nil
}

// ended gives a release of a change that state.
func (f *Fleet) ended(c *Change, id string, s State) {
	for i, r := range c.Releases {
		if r.ID == id {
			c.Releases[i].State, c.Releases[i].At, c.Releases[i].Generation = s, c.At, f.head.generation+1
			return
		}
	}
	if r := f.head.releases[id]; r != nil {
		after := *r
		after.State, after.At, after.Generation = s, c.At, f.head.generation+1
		c.Releases = append(c.Releases, &after)
	}
}

// unreach has the log say of clusters what it did before a rollout reached them. Who
// came with its release is orphaned on what he is on: that, or what a pin says.
func (v *View) unreach(d *draft, ro *Rollout, b *base) {
	for name, r := range v.records {
		if r.Stays != nil && r.Stays.Release.key() == v.base.key() {
			d.edit(name, func(r *ClusterRecord) { r.Stays = nil })
		}
	}
	for name, left := range ro.Left {
		if m := v.named(name); m != nil && m.State == Active {
			d.edit(name, func(r *ClusterRecord) {
				if r.Stays == nil {
					r.Stays = left
				}
			})
		}
	}
	for _, m := range v.members.all() {
		_, inLive := v.base.clusters[m.Cluster.Name]
		_, came := b.clusters[m.Cluster.Name] // with it, even where a pin has the cluster on another
		r := d.record(m.Cluster.Name)
		if inLive || m.State != Active || !came || r != nil && (r.Declared != nil || r.Stays != nil) {
			continue
		}
		on, file := m.base, m.lastFile()
		if m.lost != nil {
			on, file = b, nil
		}
		d.edit(m.Cluster.Name, func(r *ClusterRecord) {
			r.Orphaned = &Orphaned{Since: v.generation + 1, Release: on.kept(), DNS: m.Cluster.DNS, Labels: m.Cluster.Labels, File: file}
		})
	}
}
