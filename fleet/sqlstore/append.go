package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// Append makes a change durable. The first thing that it does is to take the
// generation; whoever else wants it waits there, and finds it taken.
func (s *Store) Append(ctx context.Context, c *fleet.Change) error {
	noun := fmt.Sprintf("change %d", c.Generation)
	documents, err := documentsOf(c.Deltas)
	if err != nil {
		return fmt.Errorf("%s: %w", noun, err)
	}
	return s.write(ctx, noun, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.take(ctx, tx, c.Generation); err != nil {
			return err
		}
		if err := s.insertChange(ctx, tx, c); err != nil {
			return err
		}
		if c.Release != nil {
			return s.goLive(ctx, tx, c)
		}
		return s.changeDeltas(ctx, tx, c, documents)
	})
}

func (s *Store) take(ctx context.Context, tx *sql.Tx, generation int64) error {
	result, err := s.exec(ctx, tx, `UPDATE head SET generation = $1 WHERE generation + 1 = $1`, generation)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fmt.Errorf("change %d: %w: another has taken the generation, or the one before it is missing",
		generation, fleet.ErrConflict)
}

func (s *Store) insertChange(ctx context.Context, tx *sql.Tx, c *fleet.Change) error {
	var revision, snapshot, clusters any
	concerned := c.Clusters
	if r := c.Release; r != nil {
		revision, snapshot, clusters = r.Revision, r.Snapshot, r.Clusters
		concerned = []string{""} // all of them
	}
	_, err := s.exec(ctx, tx, `INSERT INTO changes (generation, made_at, kind, actor, reason, revision, snapshot, clusters)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		c.Generation, c.At.UnixMicro(), string(c.Kind), c.Actor, c.Reason, revision, snapshot, clusters)
	if err != nil {
		return err
	}
	rows := make([]any, 0, 2*len(concerned))
	for _, name := range concerned {
		rows = append(rows, c.Generation, name)
	}
	return s.insertRows(ctx, tx, "change_clusters (generation, cluster)", "", 2, rows)
}

// goLive notes what is live. Its snapshot must be here, because nobody can go
// back to a release without.
func (s *Store) goLive(ctx context.Context, tx *sql.Tx, c *fleet.Change) error {
	result, err := s.exec(ctx, tx, `UPDATE head SET live = $1, snapshot = $2
		WHERE EXISTS (SELECT 1 FROM snapshots WHERE digest = $2)`, c.Generation, c.Release.Snapshot)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fmt.Errorf("snapshot %s: %w", c.Release.Snapshot, fleet.ErrNotFound)
}

// changeDeltas keeps what became of deltas, and which are in force now.
func (s *Store) changeDeltas(ctx context.Context, tx *sql.Tx, c *fleet.Change, documents []documents) error {
	var changes, inForce []any
	for i, d := range c.Deltas {
		changes = append(changes, c.Generation, d.Delta, documents[i].was, documents[i].became)
		if d.After != nil {
			inForce = append(inForce, d.Delta, c.Generation)
		}
	}
	err := s.insertRows(ctx, tx, "delta_changes (generation, delta, was, became)", "", 4, changes)
	if err != nil {
		return err
	}
	err = s.insertRows(ctx, tx, "deltas (delta, generation)",
		" ON CONFLICT (delta) DO UPDATE SET generation = excluded.generation", 2, inForce)
	if err != nil {
		return err
	}
	for _, d := range c.Deltas {
		if d.After != nil {
			continue
		}
		if _, err := s.exec(ctx, tx, `DELETE FROM deltas WHERE delta = $1`, d.Delta); err != nil {
			return err
		}
	}
	return nil
}
