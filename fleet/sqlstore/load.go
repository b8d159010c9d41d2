package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// Load returns what the log adds up to, all of it at one generation.
func (s *Store) Load(ctx context.Context) (*fleet.LogState, error) {
	state := &fleet.LogState{}
	err := s.read(ctx, "change log", func(tx *sql.Tx) error {
		var live sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT generation, live FROM head`).Scan(&state.Generation, &live)
		if err != nil {
			return err
		}
		if err := s.readState(ctx, tx, state); err != nil {
			return err
		}
		if state.Pins, err = documentsIn[fleet.Pin](ctx, tx, pinLedger.current()); err != nil {
			return err
		}
		slices.SortFunc(state.Pins, func(a, b *fleet.Pin) int { return cmp.Compare(a.Name, b.Name) })
		if state.Lineup, state.Releases, err = readLineup(ctx, tx); err != nil {
			return err
		}
		if state.Tokens, err = tokens(ctx, tx, `SELECT `+tokenColumns+` FROM tokens`); err != nil || !live.Valid {
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

// readState reads the deltas and records that the ledgers have: those in force, or
// those of a generation where one is given.
func (s *Store) readState(ctx context.Context, tx *sql.Tx, state *fleet.LogState, at ...any) (err error) {
	query := ledger.current
	if len(at) > 0 {
		query = ledger.at
	}
	if state.Deltas, err = documentsIn[fleet.Delta](ctx, tx, query(deltaLedger), at...); err != nil {
		return err
	}
	if state.Records, err = documentsIn[fleet.ClusterRecord](ctx, tx, query(recordLedger), at...); err != nil {
		return err
	}
	slices.SortFunc(state.Deltas, func(a, b *fleet.Delta) int { return cmp.Compare(a.ID(), b.ID()) })
	slices.SortFunc(state.Records, func(a, b *fleet.ClusterRecord) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return nil
}

// StateAt returns the deltas and the records as they were at a generation.
func (s *Store) StateAt(ctx context.Context, generation int64) (*fleet.LogState, error) {
	state := &fleet.LogState{Generation: generation}
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
		return s.readState(ctx, tx, state, generation)
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

// TokensSince returns the tokens that changed after a generation.
func (s *Store) TokensSince(ctx context.Context, generation int64) (changed []*fleet.Token, now int64, err error) {
	err = s.read(ctx, "tokens", func(tx *sql.Tx) (err error) {
		if err := tx.QueryRowContext(ctx, `SELECT generation FROM head`).Scan(&now); err != nil || now <= generation {
			return err
		}
		changed, err = tokens(ctx, tx, `SELECT `+tokenColumns+` FROM tokens WHERE generation > $1`, generation)
		return err
	})
	return changed, now, err
}

// mostSince is how many changes are cheaper to take up one by one than all that
// they add up to.
const mostSince = 1000

// Since returns the changes after a generation, oldest first.
func (s *Store) Since(ctx context.Context, generation int64) (*fleet.LogChanges, error) {
	noun := fmt.Sprintf("changes since %d", generation)
	later := &fleet.LogChanges{}
	err := s.read(ctx, noun, func(tx *sql.Tx) (err error) {
		var head int64
		if err := tx.QueryRowContext(ctx, `SELECT generation FROM head`).Scan(&head); err != nil {
			return err
		}
		missed := head - generation
		if missed < 0 || missed > mostSince {
			return fmt.Errorf("%s: %w: the log is at %d", noun, fleet.ErrNotFound, head)
		}
		later.Changes, err = changesOf(ctx, tx, fleet.ChangeQuery{After: generation, Limit: mostSince})
		if err != nil {
			return err
		}
		if int64(len(later.Changes)) != missed {
			return fmt.Errorf("%s: %w: some were pruned", noun, fleet.ErrNotFound)
		}
		slices.Reverse(later.Changes)
		if later.Lineup, later.Releases, err = readLineup(ctx, tx); err != nil {
			return err
		}
		later.Tokens, err = tokens(ctx, tx, `SELECT `+tokenColumns+` FROM tokens WHERE generation > $1`, generation)
		return err
	})
	if err != nil {
		return nil, err
	}
	return later, nil
}
