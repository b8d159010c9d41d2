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
	earlier := f.current.Load()
	if earlier != nil && earlier.base.release.Revision == s.Revision {
		f.setFailed(nil) // the source went back to what is served
		return nil
	}
	start := time.Now()
	view, problems, err := f.prepare(ctx, s, earlier)
	if err != nil {
		return err
	}
	good := len(problems.Faults()) == 0
	f.metrics.rendered(time.Since(start), good)
	for _, p := range problems.Warnings() {
		f.log.Warn("fleet repo", "revision", s.Revision, "problem", p.String())
	}
	if !good {
		f.fail(s.Revision, problems)
		return nil
	}
	if view.base.snapshot, err = f.keep(ctx, s); err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	live, err := f.goLive(ctx, view)
	if err != nil {
		return fmt.Errorf("release of %s: %w", s.Revision, err)
	}
	if live {
		f.log.Info("release is live", "revision", s.Revision, "generation", view.generation, "clusters", view.base.release.Clusters,
			"took", time.Since(start).Round(time.Millisecond))
	}
	return nil
}

// prepare renders a snapshot for every cluster that the log has by now.
func (f *Fleet) prepare(ctx context.Context, s *Snapshot, earlier *View) (*View, Problems, error) {
	b, err := compile(ctx, f.cfg.Renderer, s, f.cfg.Now())
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	v := &View{base: b, state: f.head.state, marks: f.marks}
	f.mu.Unlock()
	if earlier != nil {
		v.frozen = earlier.frozen
	}
	problems, err := v.prepare(ctx, earlier, nil)
	return v, problems, err
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

// goLive makes a view what is served, with what else has changed by now.
func (f *Fleet) goLive(ctx context.Context, v *View) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.upToDate(ctx); err != nil {
		return false, err
	}
	before := f.current.Load()
	if f.served() == v.base.release.Revision { // Another process was first, or an earlier try was kept after all.
		f.setFailed(nil)
		return false, nil
	}
	c := &Change{At: f.now(), Kind: WentLive, Actor: SourceActor, Holder: f.holder()}
	c.Records = v.base.orphanings(before, f.head.state)
	f.takeOver(c, before, v.base)
	problems, err := f.bringUp(ctx, v, v, c)
	if err != nil {
		return false, err
	}
	if len(problems.Faults()) > 0 { // A delta that it needed has gone.
		f.fail(v.base.release.Revision, problems)
		return false, nil
	}
	kept := v.base.kept()
	c.Release = &kept
	if err := f.append(ctx, c); err != nil {
		return false, err
	}
	v.generation, v.base.wentLive, v.base.release.At = c.Generation, c.Generation, c.At
	f.publish(v)
	f.setFailed(nil)
	f.tellRecords(c)
	return true, nil
}

// tellRecords says what became of clusters with a release.
func (f *Fleet) tellRecords(c *Change) {
	for _, r := range c.Records {
		switch {
		case r.After != nil && r.After.Orphaned != nil:
			f.log.Warn("cluster file has vanished; the cluster stays on its release", "cluster", r.Cluster)
		case r.Before.Orphaned != nil:
			f.log.Info("cluster file is back", "cluster", r.Cluster)
		default:
			f.log.Warn("cluster file disagrees with a registration, which is void; the cluster must register anew", "cluster", r.Cluster)
		}
	}
}

// takeOver adds to a release what becomes of clusters that the API declares and
// whose files are new with it. Where the file has other labels, who declared or
// registered the name was not the one whom it is for: his tokens, his declaration
// and what was written for it end with that.
func (f *Fleet) takeOver(c *Change, before *View, b *base) {
	var names []string
	for name, r := range f.head.records {
		file, there := b.clusters[name]
		if !there || before == nil || r.Declared == nil || r.Orphaned != nil || r.Decommissioned != nil {
			continue
		}
		if _, known := before.base.clusters[name]; known || agree(r.Declared.Labels, file.Labels) {
			continue
		}
		names = append(names, name)
		c.Records = append(c.Records, recordChange(r, nil))
		c.Tokens = append(c.Tokens, f.Tokens().endAll(name, c.At)...)
	}
	if len(names) > 0 {
		c.Deltas = f.head.deltas.without(names...)
	}
	c.sort()
}

// agree tells whether all that was declared is so in the file.
func agree(declared, file map[string]string) bool {
	for key, value := range declared {
		if has, there := file[key]; !there || has != value {
			return false
		}
	}
	return true
}

// orphanings are what the log says of clusters once the release is live: those
// whose file it has no more are frozen on what they were on, and those whose file
// is back are not any longer. It is about the fleet repo alone; that the API
// declares a cluster as well does not let it lose, unasked, what its file gave it.
func (b *base) orphanings(before *View, s state) []RecordChange {
	var changes []RecordChange
	for name, r := range s.records {
		if _, back := b.clusters[name]; back && r.Orphaned != nil {
			after := *r
			after.Orphaned = nil
			changes = append(changes, recordChange(r, &after))
		}
	}
	if before == nil {
		return changes
	}
	for name, c := range before.base.clusters {
		r := s.records[name]
		if _, there := b.clusters[name]; there || r != nil && (r.Orphaned != nil || r.Decommissioned != nil) {
			continue
		}
		after := ClusterRecord{Cluster: name}
		if r != nil {
			after = *r
		}
		after.Orphaned = &Orphaned{
			Since: s.generation + 1, WentLive: before.base.wentLive, Release: before.base.kept(), DNS: c.DNS, Labels: c.Labels,
		}
		changes = append(changes, recordChange(r, &after))
	}
	return changes
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
