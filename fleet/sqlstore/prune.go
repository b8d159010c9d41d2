package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// pruneAtOnce is how many entries one transaction drops, so that nobody who
// writes waits for long.
const pruneAtOnce = 500

// doomed are the entries older than $1 that explain nothing that is served.
const doomed = `made_at < $1
	AND generation NOT IN (SELECT generation FROM deltas)
	AND generation NOT IN (SELECT generation FROM records)
	AND generation NOT IN (SELECT generation FROM pins)
	AND generation NOT IN (SELECT live FROM head WHERE live IS NOT NULL)`

// Prune drops old entries and snapshots. It goes on from where it was
// interrupted, and may run in several processes at once.
func (s *Store) Prune(ctx context.Context, before time.Time) (int64, error) {
	var dropped int64
	for {
		last, err := s.batch(ctx, before)
		if err != nil {
			return dropped, err
		}
		if !last.Valid {
			if err := s.pruneTokens(ctx, before); err != nil {
				return dropped, err
			}
			if err := s.pruneReleases(ctx, before); err != nil {
				return dropped, err
			}
			return dropped, s.pruneSnapshots(ctx)
		}
		n, err := s.pruneUpTo(ctx, before, last.Int64)
		dropped += n
		if err != nil {
			return dropped, err
		}
	}
}

// batch finds the last entry of the next batch, before anybody is kept waiting.
func (s *Store) batch(ctx context.Context, before time.Time) (last sql.NullInt64, err error) {
	err = s.reader.QueryRowContext(ctx, `SELECT max(generation) FROM (
		SELECT generation FROM changes WHERE `+doomed+` ORDER BY generation LIMIT $2) batch`,
		ceilMicro(before), pruneAtOnce).Scan(&last)
	return last, s.wrap(ctx, "prune", err)
}

func (s *Store) pruneUpTo(ctx context.Context, before time.Time, last int64) (n int64, err error) {
	err = s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.still(ctx, tx); err != nil {
			return err
		}
		const dropped = `(SELECT max(generation) FROM changes WHERE ` + doomed + ` AND generation <= $2
			AND (EXISTS (SELECT 1 FROM delta_changes d WHERE d.generation = changes.generation)
				OR EXISTS (SELECT 1 FROM record_changes r WHERE r.generation = changes.generation)))`
		_, err := tx.ExecContext(ctx, `UPDATE head SET horizon = `+dropped+` WHERE horizon < `+dropped, ceilMicro(before), last)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM changes WHERE `+doomed+` AND generation <= $2`, ceilMicro(before), last)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// pruneTokens drops those of clusters and of registration that ended before a time.
// There may be as many as there were ever clusters; of people there are few, and
// that there was once a token must not be forgotten: a server without any admits
// everybody on its own machine.
func (s *Store) pruneTokens(ctx context.Context, before time.Time) error {
	return s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE ends_at < $1 AND role IN ('cluster', 'bootstrap')`, ceilMicro(before)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM token_uses WHERE token NOT IN (SELECT token FROM tokens)`); err != nil {
			return err
		}
		return nil
	})
}

// goBack is how many of the releases that went live last are kept, because somebody
// may go back to one: that is found out within days, and teams that release several
// times a day go back to one of the last few.
const goBack = 10

// recent tells whether a release is one of those that somebody may go back to.
var recent = fmt.Sprintf(`release IN (SELECT release FROM releases WHERE went_live IS NOT NULL ORDER BY went_live DESC LIMIT %d)`, goBack)

// pruneReleases drops those that came to nothing more before a time, and that no
// cluster is on or may be put on, and impacts that no release has any more.
func (s *Store) pruneReleases(ctx context.Context, before time.Time) error {
	return s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.still(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM releases WHERE changed_at < $1 AND state NOT IN ('live', 'held')
			AND release NOT IN (SELECT release FROM records WHERE release IS NOT NULL)
			AND release NOT IN (SELECT release FROM pins WHERE release IS NOT NULL)
			AND release NOT IN (SELECT release FROM lineup_releases)
			AND NOT `+recent, ceilMicro(before))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM impacts WHERE digest NOT IN (SELECT impact FROM releases WHERE impact IS NOT NULL)`)
		return err
	})
}

// pruneSnapshots drops those that no cluster is on or may be put on, and that have
// had the time to become so.
func (s *Store) pruneSnapshots(ctx context.Context) error {
	return s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.still(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM snapshots WHERE saved_at < $1
			AND digest NOT IN (SELECT snapshot FROM head WHERE snapshot IS NOT NULL)
			AND digest NOT IN (SELECT snapshot FROM records WHERE snapshot IS NOT NULL)
			AND digest NOT IN (SELECT snapshot FROM pins WHERE snapshot IS NOT NULL)
			AND digest NOT IN (SELECT snapshot FROM lineup_releases WHERE snapshot IS NOT NULL)
			AND digest NOT IN (SELECT snapshot FROM releases WHERE snapshot IS NOT NULL AND (state = 'held' OR `+recent+`))`,
			s.Now().Add(-grace).UnixMicro())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM parts WHERE digest NOT IN (SELECT part FROM snapshot_parts)`)
		return err
	})
}

// still keeps changes from being made until the transaction ends, so that what
// the next statement finds stays true.
func (s *Store) still(ctx context.Context, tx *sql.Tx) error {
	if err := s.guard(ctx, tx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE head SET horizon = horizon`)
	return err
}
