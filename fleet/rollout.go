package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// restWave is the name of the wave of clusters that no rule selects.
const restWave = "rest"

// start begins to roll a release out, by the waves of the live one, or has it live at
// once where there are none. Approved is the digest of the impact that was approved;
// empty where none needed to be.
func (f *Fleet) start(ctx context.Context, c *Change, t *trial, approved string, since time.Time) error {
	r := t.release(Live, f.head.generation+1)
	return f.startAs(ctx, c, t, r, approved, since)
}

func (f *Fleet) startAs(ctx context.Context, c *Change, t *trial, r *Release, approved string, since time.Time) error {
	waves := wavesOf(t.before, t.next)
	if len(waves) < 2 {
		return f.live(ctx, c, t, r, since)
	}
	d := newDraft(f.head.state)
	ro := &Rollout{Release: t.base.kept(), Waves: waves, Approved: approved, Left: map[string]*Stay{}}
	f.leaveEarlier(d, t)
	f.takeOver(c, d, t.before, f.head.state, t.base)
	c.Kind, c.Reason = ReleaseRolledOut, reasonOf(c.Reason, waves[0])
	c.Releases = append(c.Releases, r)
	if old := f.head.rollout(); old != nil {
		f.supersede(c, releaseID(old.Release.Revision))
	}
	if old := f.head.candidate(); old != r.ID {
		f.supersede(c, old)
	}
	failing, err := f.reach(ctx, c, t.before, d, ro, t.base, t.next)
	if err != nil {
		return err
	}
	f.log.Info("release is being rolled out", "revision", r.Revision, "release", r.ID, "wave", waves[0].Name, "of", len(waves), "clusters", len(waves[0].Clusters))
	f.tellFailing(&trial{base: t.base, failing: failing})
	return nil
}

func reasonOf(given string, w Wave) string {
	text := fmt.Sprintf("wave %s: %d clusters", w.Name, len(w.Clusters))
	if given != "" {
		text = given + "; " + text
	}
	return text
}

// leaveEarlier has clusters that a rollout in progress had reached stay on its
// release, until this one's waves reach them.
func (f *Fleet) leaveEarlier(d *draft, t *trial) {
	old := f.head.rollout()
	if old == nil {
		return
	}
	for _, m := range t.before.members.all() {
		name := m.Cluster.Name
		_, inLive := t.before.base.clusters[name]
		r := t.before.records[name]
		came := !inLive && (r == nil || r.Declared == nil) // with it, even where a pin has the cluster on another
		if m.State != Active || m.base.key() != old.Release.key() && !came || r != nil && r.Stays != nil {
			continue
		}
		d.edit(name, func(r *ClusterRecord) {
			r.Stays = &Stay{Since: f.head.generation + 1, Release: old.Release, Wave: true, Why: "a newer release took over its rollout"}
		})
	}
}

// reach has the next wave of a rollout have its release. Others are views that have
// clusters rendered already.
func (f *Fleet) reach(ctx context.Context, c *Change, before *View, d *draft, ro *Rollout, b *base, others ...*View) ([]FailingCluster, error) {
	now := *ro
	now.Reached, now.Since, now.Generation, now.Passed, now.Paused = ro.Reached+1, c.At, f.head.generation+1, false, ""
	if now.Left = maps.Clone(ro.Left); now.Left == nil { // as the log has an empty one
		now.Left = map[string]*Stay{}
	}
	names := map[string]bool{}
	for _, name := range now.wave().Clusters {
		names[name] = true
		r := d.record(name)
		_, inLive := before.base.clusters[name]
		if r != nil && r.Stays != nil && b.takes(name, r.Declared != nil && !inLive) {
			now.Left[name] = r.Stays
			d.edit(name, func(r *ClusterRecord) { r.Stays = nil })
		}
	}
	c.Lineup = &Lineup{Rollout: &now, Candidate: f.head.candidate()}
	if r := f.head.releases[c.Lineup.Candidate]; r != nil {
		c.Lineup.Snapshot = r.Digest
	}
	if ro.Reached == 0 || superseded(c.Releases, c.Lineup.Candidate) { // the one that begins is the newest
		c.Lineup.Candidate, c.Lineup.Snapshot = "", ""
	}
	next := &View{base: before.base, marks: f.marks, bases: before.adding(b)}
	failing, _, err := f.settle(ctx, next, before, c, d, f.head.state, b, names, append([]*View{before}, others...)...)
	if err != nil {
		return nil, err
	}
	kept := b.kept()
	kept.Clusters = len(names)
	c.Release, c.Clusters = &kept, before.touched(next, now.wave())
	if stop, err := f.beyond(ctx, before, next, &now); err != nil || stop != nil {
		if err != nil {
			return nil, err
		}
		return nil, f.pauseAt(ctx, c, stop)
	}
	return failing, f.commit(ctx, c, next)
}

// touched are the clusters of some waves, and those that came or went with them.
func (v *View) touched(next *View, waves ...Wave) []string {
	var names []string
	for _, w := range waves {
		names = append(names, w.Clusters...)
	}
	for _, p := range pairsOf(v, next) {
		if p.before == nil || p.after == nil || p.before.base != p.after.base || p.before.State != p.after.State {
			names = append(names, p.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func superseded(releases []*Release, id string) bool {
	return slices.ContainsFunc(releases, func(r *Release) bool { return r.ID == id && r.State == Superseded })
}

// wavesOf are the waves in which a release reaches the fleet, without empty ones. The last
// one is of all that is left, whatever it is called, and has the release live.
func wavesOf(before, next *View) []Wave {
	if before == nil {
		return nil
	}
	rules := before.base.repo.Waves()
	if len(rules) == 0 {
		return nil
	}
	waves := make([]Wave, len(rules)+1)
	selectors := make([]labels.Selector, len(rules))
	for i, r := range rules {
		waves[i] = Wave{Name: r.Name, Soak: r.Soak, Manual: r.Manual, Polled: r.Polled}
		selectors[i], _ = r.Selector.Compile() // checked when fleet.yaml was read
	}
	waves[len(rules)] = Wave{Name: restWave}
	for _, m := range next.members.all() {
		old := before.named(m.Cluster.Name)
		if m.State != Active || old == nil || old.State != Active {
			continue // who is new comes at once, and an orphan not before the release is live
		}
		at := slices.IndexFunc(selectors, func(s labels.Selector) bool { return s != nil && s.Matches(labels.Set(old.Cluster.Labels)) })
		if at < 0 {
			at = len(rules)
		}
		waves[at].Clusters = append(waves[at].Clusters, m.Cluster.Name)
	}
	return slices.DeleteFunc(waves, func(w Wave) bool { return len(w.Clusters) == 0 })
}

// stop is why a wave must not be reached, and the impact that somebody has to confirm,
// or why the waves before must not be taken back.
type stop struct {
	why, impact string
	back        bool
}

// beyond returns why a wave must not be reached: what it takes away by now is more
// than the guard allows, and more than was approved. It is nil where it may.
func (f *Fleet) beyond(ctx context.Context, before, next *View, ro *Rollout) (*stop, error) {
	impact, violations, err := weigh(before.base.repo.Guard(), before, next)
	if err != nil || len(violations) == 0 {
		return nil, err
	}
	impact.seal(ro.Release.key(), nil)
	if impact.Digest == ro.Confirmed || before.rollout() == nil { // It was weighed just now, for every wave.
		return nil, nil
	}
	if ro.Approved != "" {
		r, err := f.Release(ctx, releaseID(ro.Release.Revision))
		if err != nil {
			return nil, err
		}
		if impact.within(r.Impact) {
			return nil, nil
		}
	}
	return &stop{why: "the next wave takes away more than the guard allows, and more than was approved: " + violations[0].Message +
		"; resume it to go on all the same, or abort it", impact: impact.Digest}, nil
}

// pauseAt pauses a rollout before a wave.
func (f *Fleet) pauseAt(ctx context.Context, c *Change, stop *stop) error {
	ro := *f.head.rollout()
	ro.Paused, ro.Beyond, ro.Back = stop.why, stop.impact, ro.Back || stop.back
	*c = Change{At: c.At, Kind: ReleaseRolledOut, Actor: c.Actor, Holder: c.Holder, Reason: "paused: " + stop.why, Release: &ro.Release, Lineup: f.head.lineup.with(&ro)}
	if err := f.commit(ctx, c, f.current.Load()); err != nil {
		return err
	}
	f.log.Error("rollout is paused", "revision", ro.Release.Revision, "why", stop.why)
	return nil
}

func (l *Lineup) with(ro *Rollout) *Lineup {
	next := *l
	next.Rollout = ro
	return &next
}

// rollOut moves a rollout on when its wave is through, until ctx ends.
func (f *Fleet) rollOut(ctx context.Context) {
	for down := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(rolloutInterval):
		}
		err := f.Advance(ctx)
		if err != nil && !down && ctx.Err() == nil {
			f.log.Error("rollout does not go on", "err", err)
		}
		down = err != nil
	}
}

// rolloutInterval is how often a rollout is looked at: a small part of what it takes
// clusters to poll.
const rolloutInterval = time.Second

// Advance moves the rollout in progress, if there is one, on to its next wave if the
// present one is through. Run does so while the server leads.
func (f *Fleet) Advance(ctx context.Context) error {
	v := f.current.Load()
	if v == nil || v.rollout() == nil || v.rollout().Paused != "" {
		return nil
	}
	if status := f.progress(ctx, v); !status.through {
		return nil
	}
	return f.inTurn(ctx, func() error {
		now := f.head.rollout()
		if now == nil || now.Paused != "" || now.Generation != v.rollout().Generation {
			return nil
		}
		c := &Change{At: f.now(), Actor: OwnActor, Holder: f.holder()}
		return f.step(ctx, c)
	})
}

// step has a rollout reach its next wave, which may be the last.
func (f *Fleet) step(ctx context.Context, c *Change) error {
	before, ro := f.current.Load(), f.head.rollout()
	if before == nil || before.generation != f.head.generation {
		return fmt.Errorf("rollout: %w: what the change log says is not served here", ErrNotReady)
	}
	b := before.rolling()
	if b == nil {
		return fmt.Errorf("rollout: release of %s: %w", ro.Release.Revision, errLost)
	}
	next := ro.Waves[ro.Reached]
	c.Kind, c.Reason = ReleaseRolledOut, reasonOf(c.Reason, next)
	if ro.Reached+1 < len(ro.Waves) {
		failing, err := f.reach(ctx, c, before, newDraft(f.head.state), ro, b)
		f.tellFailing(&trial{base: b, failing: failing})
		return err
	}
	t, err := f.try(ctx, b, before, f.head.state, nil)
	if err != nil {
		return err
	}
	if t.failed() {
		return f.pauseAt(ctx, c, &stop{why: "it is good for no cluster any more: " + t.problems.Faults().Error()})
	}
	last := *ro
	last.Reached++
	if stop, err := f.beyond(ctx, before, t.next, &last); err != nil || stop != nil {
		if err != nil {
			return err
		}
		return f.pauseAt(ctx, c, stop)
	}
	r := f.head.releases[t.base.release.ID].as(t)
	r.State, r.At, r.Generation = Live, c.At, f.head.generation+1
	return f.live(ctx, c, t, r, f.cfg.Now())
}

// as is a release with what a trial found of it by now. What it changes is told as it
// was when it was decided on.
func (r *Release) as(t *trial) *Release {
	next := *t.release(Live, 0)
	if r != nil {
		next.Decisions, next.Impact, next.Violations = r.Decisions, r.Impact, r.Violations
	}
	return &next
}
