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
	documents, err := documentsOf(c)
	if err != nil {
		return fmt.Errorf("%s: %w", noun, err)
	}
	return s.write(ctx, noun, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.take(ctx, tx, c); err != nil {
			return err
		}
		if err := s.insertChange(ctx, tx, c); err != nil {
			return err
		}
		if err := s.changeReleases(ctx, tx, c, documents); err != nil {
			return err
		}
		if err := s.settle(ctx, tx, deltaLedger, c.Generation, documents.deltas); err != nil {
			return err
		}
		if err := s.changeRecords(ctx, tx, c, documents.records); err != nil {
			return err
		}
		if err := s.changePins(ctx, tx, c, documents.pins); err != nil {
			return err
		}
		if err := s.changeTokens(ctx, tx, c, documents.tokens); err != nil {
			return err
		}
		return s.tell(ctx, tx, "change")
	})
}

func (s *Store) take(ctx context.Context, tx *sql.Tx, c *fleet.Change) error {
	if err := s.guard(ctx, tx); err != nil {
		return err
	}
	text, args := `UPDATE head SET generation = $1 WHERE generation + 1 = $1`, []any{c.Generation}
	if c.Holder != "" {
		text += ` AND EXISTS (SELECT 1 FROM lease WHERE holder = $2 AND until > ` + s.dialect.now + `)`
		args = append(args, c.Holder)
	}
	result, err := s.exec(ctx, tx, text, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	why := "another has taken the generation, or the one before it is missing"
	if c.Holder != "" {
		why += ", or this server does not lead any more"
	}
	return fmt.Errorf("change %d: %w: %s", c.Generation, fleet.ErrConflict, why)
}

// guard must come before all that others who write would wait for.
func (s *Store) guard(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.guard == "" {
		return nil
	}
	_, err := s.exec(ctx, tx, s.dialect.guard)
	return err
}

func (s *Store) insertChange(ctx context.Context, tx *sql.Tx, c *fleet.Change) error {
	var revision, snapshot, clusters any
	concerned := c.Clusters
	if r := c.Release; r != nil {
		revision, snapshot, clusters = r.Revision, r.Snapshot, r.Clusters
	}
	if goesLive(c) {
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
