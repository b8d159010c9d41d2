package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// base is a release, compiled: what clusters are rendered from. Most are on the
// live one; an orphaned cluster stays on the one that had its file.
type base struct {
	release  Release
	wentLive int64  // the generation at which it did
	snapshot string // the digest of its tree, by which the store has it
	repo     Repo
	sets     []string
	clusters map[string]Cluster // those that its files declare, by name
}

// compile makes a base of a snapshot, whatever is wrong with it.
func compile(ctx context.Context, r Renderer, s *Snapshot, at time.Time) (*base, error) {
	repo, err := r.Compile(ctx, s.Tree)
	if err != nil {
		return nil, err
	}
	b := &base{
		release: Release{ID: releaseID(s.Revision), Revision: s.Revision, State: Live, At: at},
		repo:    repo, sets: repo.Sets(), clusters: map[string]Cluster{},
	}
	for _, c := range repo.Clusters() {
		b.clusters[c.Name] = c
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

// revive compiles a release that went live at a generation from its snapshot. The
// error is an errLost where that will not change.
func (f *Fleet) revive(ctx context.Context, kept LiveRelease, wentLive int64, at time.Time) (*base, error) {
	if v := f.current.Load(); v != nil {
		if b := v.baseAt(wentLive); b != nil {
			return b, nil
		}
	}
	var packed *Packed
	err := ask(ctx, func(ctx context.Context) (err error) {
		packed, err = f.cfg.Store.Snapshot(ctx, kept.Snapshot)
		return err
	})
	if errors.Is(err, ErrStore) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("release of %s: %w: %w", kept.Revision, errLost, err)
	}
	tree, err := f.cfg.Archive.Unpack(ctx, packed)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("release of %s: %w: %w", kept.Revision, errLost, err)
	}
	b, err := compile(ctx, f.cfg.Renderer, &Snapshot{Revision: kept.Revision, Tree: tree}, at)
	if err != nil {
		return nil, err
	}
	b.wentLive, b.snapshot, b.release.Clusters = wentLive, kept.Snapshot, kept.Clusters
	return b, nil
}

// baseAt is the base of the view that went live at a generation; nil for none.
func (v *View) baseAt(wentLive int64) *base {
	if v.base.wentLive == wentLive {
		return v.base
	}
	return v.frozen[wentLive]
}

// thaw finds the releases that clusters are frozen on, so that the view can be
// seated. One that cannot be served any more is left out, and told.
func (f *Fleet) thaw(ctx context.Context, v *View, s state) error {
	frozen := map[int64]*base{}
	for _, r := range s.records {
		if r.Orphaned == nil || r.Decommissioned != nil || frozen[r.Orphaned.WentLive] != nil {
			continue
		}
		b := v.baseAt(r.Orphaned.WentLive)
		if b == nil {
			var err error
			b, err = f.revive(ctx, r.Orphaned.Release, r.Orphaned.WentLive, time.Time{})
			if errors.Is(err, errLost) {
				f.log.Error("orphaned cluster cannot be served", "cluster", r.Cluster, "err", err)
				continue
			}
			if err != nil {
				return err
			}
		}
		frozen[r.Orphaned.WentLive] = b
	}
	v.frozen = frozen
	return nil
}
