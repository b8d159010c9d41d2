package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// inForce finds the deltas in force. It is a cross join because SQLite, which has
// no idea how long the log is, takes the tables of one as they stand.
const inForce = `SELECT c.became FROM deltas d CROSS JOIN delta_changes c
	WHERE c.generation = d.generation AND c.delta = d.delta`

// Load returns what the log adds up to, all of it at one generation.
func (s *Store) Load(ctx context.Context) (*fleet.LogState, error) {
	state := &fleet.LogState{}
	err := s.read(ctx, "change log", func(tx *sql.Tx) error {
		var live sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT generation, live FROM head`).Scan(&state.Generation, &live)
		if err != nil {
			return err
		}
		state.Deltas, err = deltas(ctx, tx, inForce)
		if err != nil || !live.Valid {
			return err
		}
		changes, err := changesOf(ctx, tx, fleet.ChangeQuery{Generation: live.Int64})
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return fmt.Errorf("the entry of the live release, %d, is gone", live.Int64)
		}
		state.Live = &changes[0]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

// DeltasAt goes back from what is in force: a delta that was changed after the
// generation was what the first such change found. That needs no entry of the
// generation or before, so those may be pruned.
func (s *Store) DeltasAt(ctx context.Context, generation int64) ([]*fleet.Delta, error) {
	var found []*fleet.Delta
	noun := fmt.Sprintf("generation %d", generation)
	err := s.read(ctx, noun, func(tx *sql.Tx) error {
		var head, horizon int64
		err := tx.QueryRowContext(ctx, `SELECT generation, horizon FROM head`).Scan(&head, &horizon)
		switch {
		case err != nil:
			return err
		case generation > head:
			return fmt.Errorf("%s: %w: the log is at %d", noun, fleet.ErrNotFound, head)
		case generation < horizon:
			return fmt.Errorf("%s: %w: the log reaches back to %d", noun, fleet.ErrNotFound, horizon)
		case generation < 0:
			return fmt.Errorf("%s: %w: the log begins at 0", noun, fleet.ErrNotFound)
		}
		found, err = deltas(ctx, tx, `SELECT c.was FROM (
				SELECT delta, min(generation) AS generation FROM delta_changes
				WHERE generation > $1 GROUP BY delta) d
			CROSS JOIN delta_changes c
			WHERE c.generation = d.generation AND c.delta = d.delta AND c.was IS NOT NULL
			UNION ALL `+inForce+` AND d.generation <= $1`, generation)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// deltas reads those whose documents a query finds. It sorts them here, because
// each database has its own order of text.
func deltas(ctx context.Context, tx *sql.Tx, text string, args ...any) ([]*fleet.Delta, error) {
	var found []*fleet.Delta
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var document []byte
		if err := rows.Scan(&document); err != nil {
			return err
		}
		d, err := deltaOf(document)
		found = append(found, d)
		return err
	}, text, args...)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b *fleet.Delta) int { return cmp.Compare(a.ID(), b.ID()) })
	return found, nil
}
