package sqlstore

import (
	"context"
	"database/sql"

	"github.com/tributary-gitops/tributary/fleet"
)

// changeRecords keeps, beside what the log says of clusters, which release they stay
// on. Of one that was purged it drops the polls, which the next one of that name did
// not make.
func (s *Store) changeRecords(ctx context.Context, tx *sql.Tx, c *fleet.Change, records []change) error {
	if err := s.settle(ctx, tx, recordLedger, c.Generation, records); err != nil {
		return err
	}
	for _, r := range c.Records {
		if r.Purged() {
			if _, err := s.exec(ctx, tx, `DELETE FROM polls WHERE cluster = $1`, r.Cluster); err != nil {
				return err
			}
		}
		if r.After == nil {
			continue
		}
		release, snapshot := stayOf(r.After)
		_, err := s.exec(ctx, tx, `UPDATE records SET release = $1, snapshot = $2 WHERE cluster = $3`, release, snapshot, r.Cluster)
		if err != nil {
			return err
		}
	}
	return nil
}

// stayOf is the release that a cluster stays on, and its snapshot: the one that it is
// frozen on, or else the one that it was left on.
func stayOf(r *fleet.ClusterRecord) (release, snapshot any) {
	var on fleet.LiveRelease
	switch {
	case r.Orphaned != nil:
		on = r.Orphaned.Release
	case r.Stays != nil:
		on = r.Stays.Release
	default:
		return nil, nil
	}
	return on.ID(), orNull(on.Snapshot)
}

// changePins keeps pins as they are after a change. The snapshot that one is to must
// be here: clusters could not be put on it without.
func (s *Store) changePins(ctx context.Context, tx *sql.Tx, c *fleet.Change, pins []change) error {
	if err := s.settle(ctx, tx, pinLedger, c.Generation, pins); err != nil {
		return err
	}
	for _, p := range c.Pins {
		if p.After == nil {
			continue
		}
		result, err := s.exec(ctx, tx, `UPDATE pins SET release = $1, snapshot = $2
			WHERE pin = $3 AND EXISTS (SELECT 1 FROM snapshots WHERE digest = $2)`, p.After.Release, p.After.Snapshot, p.Pin)
		if err != nil {
			return err
		}
		if err := wantOne(result, "snapshot "+p.After.Snapshot); err != nil {
			return err
		}
	}
	return nil
}
