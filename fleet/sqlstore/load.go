package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Load returns what the log adds up to, all of it at one generation.
func (s *Store) Load(ctx context.Context) (*fleet.LogState, error) {
	state := &fleet.LogState{}
	err := s.read(ctx, "change log", func(tx *sql.Tx) error {
		names, err := s.releaseRefs(ctx, tx)
		if err != nil {
			return err
		}
		if err := readHead(ctx, tx, names, state); err != nil {
			return err
		}
		if state.Deltas, err = deltaLedger.find(ctx, tx, names, deltaLedger.now()); err != nil {
			return err
		}
		if state.Records, err = recordLedger.find(ctx, tx, names, recordLedger.now()); err != nil {
			return err
		}
		if state.Pins, err = pinLedger.find(ctx, tx, names, pinLedger.now()); err != nil {
			return err
		}
		if state.Assignments, err = readAssignments(ctx, tx, names); err != nil {
			return err
		}
		if state.Losses, err = readLosses(ctx, tx); err != nil {
			return err
		}
		if state.Tokens, err = readTokens(ctx, tx, ""); err != nil {
			return err
		}
		state.Releases, err = presentReleases(ctx, tx, state)
		return err
	})
	if err != nil {
		return nil, err
	}
	sortState(state)
	return state, nil
}

// sortState sorts here, because each database has its own order of text.
func sortState(state *fleet.LogState) {
	slices.SortFunc(state.Deltas, func(a, b *fleet.Delta) int { return cmp.Compare(a.ID(), b.ID()) })
	slices.SortFunc(state.Records, func(a, b *fleet.ClusterRecord) int { return cmp.Compare(a.Cluster, b.Cluster) })
	slices.SortFunc(state.Pins, func(a, b *fleet.Pin) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(state.Assignments, func(a, b *fleet.Assignment) int { return cmp.Compare(a.Cluster, b.Cluster) })
}

// readHead reads where the log stands, the live release, the candidate and the rollout.
func readHead(ctx context.Context, tx *sql.Tx, names refs, state *fleet.LogState) error {
	var live, at, release, clusters, candidate, rolloutRelease sql.NullInt64
	var waves, progress []byte
	err := tx.QueryRowContext(ctx, `SELECT h.generation, h.live, c.made_at, h.live_release, c.release_clusters, h.candidate, r.release, r.document, h.progress
		FROM head h LEFT JOIN changes c ON c.generation = h.live LEFT JOIN rollout_waves r ON r.id = h.rollout`).
		Scan(&state.Generation, &live, &at, &release, &clusters, &candidate, &rolloutRelease, &waves, &progress)
	if err != nil {
		return err
	}
	if live.Valid {
		if !at.Valid {
			return fmt.Errorf("the entry of the live release, %d, is missing", live.Int64)
		}
		ref, err := names.get(release.Int64)
		if err != nil {
			return err
		}
		state.Live = &fleet.LiveRelease{ReleaseRef: ref, Generation: live.Int64, At: time.UnixMicro(at.Int64).UTC(), Clusters: int(clusters.Int64)}
	}
	if state.Candidate, err = names.get(candidate.Int64); err != nil || !rolloutRelease.Valid {
		return err
	}
	ref, err := names.get(rolloutRelease.Int64)
	if err != nil {
		return err
	}
	state.Rollout, err = readRollout(waves, progress, ref)
	return err
}

func readAssignments(ctx context.Context, tx *sql.Tx, names refs) ([]*fleet.Assignment, error) {
	values, err := readValues(ctx, tx, `SELECT value FROM assignments`)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	var found []*fleet.Assignment
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var cluster string
		var value int64
		if err := rows.Scan(&cluster, &value); err != nil {
			return err
		}
		a, err := values[value].of(cluster, names)
		found = append(found, a)
		return err
	}, `SELECT cluster, value FROM assignments`)
	return found, err
}

// readLosses reads the losses that count, oldest first.
func readLosses(ctx context.Context, tx *sql.Tx) (found []*fleet.Losses, err error) {
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var document []byte
		if err := rows.Scan(&document); err != nil {
			return err
		}
		l, err := decode[fleet.Losses](document)
		found = append(found, l)
		return err
	}, `SELECT c.losses FROM losses l JOIN changes c ON c.generation = l.generation ORDER BY l.generation`)
	return found, err
}

// presentReleases reads the live release, that of the rollout and the candidate.
func presentReleases(ctx context.Context, tx *sql.Tx, state *fleet.LogState) ([]*fleet.Release, error) {
	var ids []string
	if state.Live != nil {
		ids = append(ids, state.Live.ID())
	}
	if state.Rollout != nil {
		ids = append(ids, state.Rollout.Release.ID())
	}
	if !state.Candidate.IsZero() {
		ids = append(ids, state.Candidate.ID())
	}
	return releasesByID(ctx, tx, ids)
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
			return fmt.Errorf("%s: %w: the log goes back to %d", noun, fleet.ErrNotFound, horizon)
		case generation < 0:
			return fmt.Errorf("%s: %w: the log begins at 0", noun, fleet.ErrNotFound)
		}
		names, err := s.releaseRefs(ctx, tx)
		if err != nil {
			return err
		}
		if state.Deltas, err = deltaLedger.find(ctx, tx, names, deltaLedger.at(), generation); err != nil {
			return err
		}
		state.Records, err = recordLedger.find(ctx, tx, names, recordLedger.at(), generation)
		return err
	})
	if err != nil {
		return nil, err
	}
	sortState(state)
	return state, nil
}

// maxSince is how many changes are cheaper to apply one by one than to load what they add up to.
const maxSince = 1000

// Since returns the changes after a generation, oldest first.
func (s *Store) Since(ctx context.Context, generation int64) (*fleet.LogChanges, error) {
	noun := fmt.Sprintf("changes since %d", generation)
	later := &fleet.LogChanges{}
	err := s.read(ctx, noun, func(tx *sql.Tx) error {
		names, err := s.releaseRefs(ctx, tx)
		if err != nil {
			return err
		}
		var state fleet.LogState
		if err := readHead(ctx, tx, names, &state); err != nil {
			return err
		}
		missed := state.Generation - generation
		if missed < 0 || missed > maxSince {
			return fmt.Errorf("%s: %w: the log is at %d", noun, fleet.ErrNotFound, state.Generation)
		}
		later.Changes, err = readChanges(ctx, tx, names, fleet.ChangeQuery{After: generation, Limit: maxSince}, true)
		if err != nil {
			return err
		}
		if int64(len(later.Changes)) != missed {
			return fmt.Errorf("%s: %w: some were pruned", noun, fleet.ErrNotFound)
		}
		slices.Reverse(later.Changes)
		if later.Releases, err = presentReleases(ctx, tx, &state); err != nil {
			return err
		}
		later.Tokens, err = readTokens(ctx, tx, ` WHERE generation > $1`, generation)
		return err
	})
	if err != nil {
		return nil, err
	}
	return later, nil
}

// TokensSince returns the tokens that changed after a generation.
func (s *Store) TokensSince(ctx context.Context, generation int64) (changed []*fleet.Token, now int64, err error) {
	err = s.read(ctx, "tokens", func(tx *sql.Tx) (err error) {
		if err := tx.QueryRowContext(ctx, `SELECT generation FROM head`).Scan(&now); err != nil || now <= generation {
			return err
		}
		changed, err = readTokens(ctx, tx, ` WHERE generation > $1`, generation)
		return err
	})
	return changed, now, err
}

// readTokens reads the tokens that a condition finds, sorted by ID.
func readTokens(ctx context.Context, tx *sql.Tx, where string, args ...any) ([]*fleet.Token, error) {
	var found []*fleet.Token
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var document, hash []byte
		var secret fleet.TokenSecret
		if err := rows.Scan(&document, &hash, &secret.Salt, &secret.Proof); err != nil {
			return err
		}
		t, err := decode[fleet.Token](document)
		if err != nil {
			return err
		}
		if len(hash) != len(secret.Hash) {
			return fmt.Errorf("token %s: its hash has %d bytes", t.ID, len(hash))
		}
		secret.Hash = fleet.TokenHash(hash)
		t.TokenSecret = secret
		found = append(found, t)
		return nil
	}, `SELECT document, hash, salt, proof FROM tokens`+where, args...)
	slices.SortFunc(found, func(a, b *fleet.Token) int { return cmp.Compare(a.ID, b.ID) })
	return found, err
}
