package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// base is a release, compiled: what clusters are rendered from. Most are on the
// live one; others are on those that the change log says.
type base struct {
	release  Release
	snapshot string // the digest of its tree, by which the store has it
	repo     Repo
	sets     []string
	clusters map[string]*Cluster // those that its files declare, by name
	names    []string            // of those, sorted
}

// releaseKey tells bases apart: one revision of two sources may have two trees.
type releaseKey struct{ revision, snapshot string }

func (b *base) key() releaseKey { return releaseKey{b.release.Revision, b.snapshot} }

// compile makes a base of a snapshot, whatever is wrong with it.
func compile(ctx context.Context, r Renderer, s *Snapshot, at time.Time) (*base, error) {
	repo, err := r.Compile(ctx, s.Tree)
	if err != nil {
		return nil, err
	}
	all := repo.Clusters()
	b := &base{
		release: Release{ID: releaseID(s.Revision), Revision: s.Revision, State: Live, At: at},
		repo:    repo, sets: repo.Sets(), clusters: make(map[string]*Cluster, len(all)), names: make([]string, len(all)),
	}
	for i, c := range all {
		b.clusters[c.Name], b.names[i] = c, c.Name
	}
	return b, nil
}

// kept is the release as the log keeps it.
func (b *base) kept() LiveRelease {
	return LiveRelease{Revision: b.release.Revision, Snapshot: b.snapshot, Clusters: b.release.Clusters}
}

// errLost is why a release that the log has cannot be served here any more, which
// an upgrade of Tributary may cause.
var errLost = errors.New("cannot be served by this version")

// revive compiles a release that the log has from its snapshot, unless what is
// served has it. The error is an errLost where that will not change.
func (f *Fleet) revive(ctx context.Context, key releaseKey, at time.Time) (*base, error) {
	if v := f.current.Load(); v != nil {
		if b := v.bases[key]; b != nil {
			return b, nil
		}
	}
	if v := f.ahead.of(ctx, key); v != nil {
		v.base.release.At = at // nobody has seen it yet
		return v.base, nil
	}
	return f.thawed(ctx, key, at)
}

// thawed compiles it from its snapshot.
func (f *Fleet) thawed(ctx context.Context, key releaseKey, at time.Time) (*base, error) {
	if f.cfg.Store == nil {
		return nil, fmt.Errorf("release of %s: %w: nothing is kept", key.revision, errLost)
	}
	var packed *Packed
	err := ask(ctx, func(ctx context.Context) (err error) {
		packed, err = f.cfg.Store.Snapshot(ctx, key.snapshot)
		return err
	})
	if errors.Is(err, ErrStore) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("release of %s: %w: %w", key.revision, errLost, err)
	}
	tree, err := f.cfg.Archive.Unpack(ctx, packed)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("release of %s: %w: %w", key.revision, errLost, err)
	}
	b, err := compile(ctx, f.cfg.Renderer, &Snapshot{Revision: key.revision, Tree: tree}, at)
	if err != nil {
		return nil, err
	}
	b.snapshot = key.snapshot
	return b, nil
}

// inUse are the releases beside the live one that clusters are on by a state, and
// for which a cluster is.
func (s state) inUse() map[releaseKey]string {
	keys := map[releaseKey]string{}
	for name, r := range s.records {
		switch {
		case r.Decommissioned != nil:
		case r.Orphaned != nil:
			keys[r.Orphaned.Release.key()] = "orphaned cluster " + name
		case r.Stays != nil:
			keys[r.Stays.Release.key()] = "cluster " + name
		}
	}
	for _, p := range s.pins.order {
		keys[p.key()] = "pin " + p.Name
	}
	if r := s.rollout(); r != nil {
		keys[r.Release.key()] = "rollout"
		for name, left := range r.Left {
			keys[left.Release.key()] = "cluster " + name
		}
	}
	return keys
}

// thaw finds the releases that clusters are on beside the live one, so that the view
// can be seated. One that cannot be served any more is left out, and told.
func (f *Fleet) thaw(ctx context.Context, v *View, s state) error {
	bases := map[releaseKey]*base{}
	if v.base != nil {
		bases[v.base.key()] = v.base
	}
	for key, who := range s.inUse() {
		b := v.bases[key]
		if b == nil {
			b = bases[key]
		}
		if b == nil {
			var err error
			b, err = f.revive(ctx, key, time.Time{})
			if errors.Is(err, errLost) {
				f.log.Error("release cannot be taken up again", "of", who, "err", err)
				continue
			}
			if err != nil {
				return err
			}
		}
		bases[key] = b
	}
	v.bases = bases
	return nil
}

// adding is the view's bases with more of them.
func (v *View) adding(more ...*base) map[releaseKey]*base {
	all := map[releaseKey]*base{}
	if v != nil {
		all = maps.Clone(v.bases)
	}
	for _, b := range slices.DeleteFunc(more, func(b *base) bool { return b == nil }) {
		all[b.key()] = b
	}
	return all
}
