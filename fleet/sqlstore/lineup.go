package sqlstore

import (
	"context"
	"database/sql"

	"github.com/tributary-gitops/tributary/fleet"
)

// saveLineup keeps where the fleet is going, and apart what Prune must know of it.
func (s *Store) saveLineup(ctx context.Context, tx *sql.Tx, l *fleet.Lineup, document *string) error {
	if _, err := s.exec(ctx, tx, `UPDATE head SET lineup = $1`, document); err != nil {
		return err
	}
	if _, err := s.exec(ctx, tx, `DELETE FROM lineup_releases`); err != nil {
		return err
	}
	var rows []any
	for id, snapshot := range namedBy(l) {
		rows = append(rows, id, orNull(snapshot))
	}
	return s.insertRows(ctx, tx, "lineup_releases (release, snapshot)", "", 2, rows)
}

// namedBy are the snapshots of the releases that a lineup names, by their ID: its
// candidate, its rollout, and what clusters return to where that is aborted.
func namedBy(l *fleet.Lineup) map[string]string {
	named := map[string]string{}
	if l.Candidate != "" {
		named[l.Candidate] = l.Snapshot
	}
	if r := l.Rollout; r != nil {
		for _, stay := range r.Left {
			named[stay.Release.ID()] = stay.Release.Snapshot
		}
		named[r.Release.ID()] = r.Release.Snapshot
	}
	return named
}

// readLineup reads where the fleet is going, and the releases that this is about, of
// which there may be none yet in a log that another version wrote.
func readLineup(ctx context.Context, tx *sql.Tx) (*fleet.Lineup, []*fleet.Release, error) {
	var document []byte
	var revision sql.NullString
	err := tx.QueryRowContext(ctx, `SELECT h.lineup, c.revision FROM head h LEFT JOIN changes c ON c.generation = h.live`).
		Scan(&document, &revision)
	if err != nil {
		return nil, nil, err
	}
	lineup, err := read[fleet.Lineup](document)
	if err != nil {
		return nil, nil, err
	}
	if lineup == nil {
		lineup = &fleet.Lineup{}
	}
	ids := []string{"", "", lineup.Candidate} // the live one, that of the rollout, and the candidate
	if revision.Valid {
		ids[0] = fleet.LiveRelease{Revision: revision.String}.ID()
	}
	if lineup.Rollout != nil {
		ids[1] = lineup.Rollout.Release.ID()
	}
	releases, err := releasesOf(ctx, tx, ids)
	return lineup, releases, err
}

// releasesOf reads a few releases, in the order of their IDs, each once.
func releasesOf(ctx context.Context, tx *sql.Tx, ids []string) ([]*fleet.Release, error) {
	byID := map[string]*fleet.Release{}
	var args []any
	for _, id := range ids {
		args = append(args, id)
	}
	err := eachRelease(ctx, tx, func(r *fleet.Release) { byID[r.ID] = r }, releaseAlone+` WHERE release IN `+placeholders(1, len(ids)), args...)
	var found []*fleet.Release
	for _, id := range ids {
		if r := byID[id]; r != nil {
			found = append(found, r)
			delete(byID, id)
		}
	}
	return found, err
}
