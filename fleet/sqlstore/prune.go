package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// A transaction of Prune drops so many entries at most, and stops after so many of their rows, so
// that no writer waits for long.
const (
	pruneEntries = 500
	pruneRows    = 20_000
)

// outdated is the condition for entries that are older than $1 and explain nothing of the present
// state.
const outdated = `made_at < $1
	AND generation NOT IN (SELECT generation FROM deltas)
	AND generation NOT IN (SELECT generation FROM records)
	AND generation NOT IN (SELECT generation FROM pins)
	AND generation NOT IN (SELECT generation FROM assignments)
	AND generation NOT IN (SELECT generation FROM losses)
	AND generation NOT IN (SELECT live FROM head WHERE live IS NOT NULL)`

// Prune drops entries, tokens, releases and snapshots that are no longer needed. After an
// interruption it goes on where it was, and it may run in several processes at once.
func (s *Store) Prune(ctx context.Context, before time.Time) (dropped int64, err error) {
	for {
		last, err := s.pruneBatch(ctx, before)
		if err != nil {
			return dropped, err
		}
		if last == 0 {
			break
		}
		n, err := s.pruneEntriesUpTo(ctx, before, last)
		dropped += n
		if err != nil {
			return dropped, err
		}
	}
	for _, step := range []func(context.Context, time.Time) error{s.pruneValues, s.pruneTokens, s.pruneReleases, s.pruneSnapshots} {
		if err := step(ctx, before); err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// pruneBatch returns the generation at which the next batch of entries ends, 0 where there are
// none. It finds it before any writer has to wait.
func (s *Store) pruneBatch(ctx context.Context, before time.Time) (last int64, err error) {
	err = s.read(ctx, "prune", func(tx *sql.Tx) error {
		total := int64(0)
		return each(ctx, tx, func(rows *sql.Rows) error {
			var generation, n int64
			err := rows.Scan(&generation, &n)
			if total < pruneRows {
				last = generation
			}
			total += n
			return err
		}, fmt.Sprintf(`SELECT generation,
				(SELECT count(*) FROM assignment_changes a WHERE a.generation = changes.generation) +
				(SELECT count(*) FROM change_clusters c WHERE c.generation = changes.generation)
			FROM changes WHERE %s ORDER BY generation LIMIT %d`, outdated, pruneEntries), ceilMicro(before))
	})
	return last, err
}

func (s *Store) pruneEntriesUpTo(ctx context.Context, before time.Time, last int64) (n int64, err error) {
	const batch = `(SELECT generation FROM changes WHERE ` + outdated + ` AND generation <= $2)`
	const newest = `(SELECT max(generation) FROM changes WHERE ` + outdated + ` AND generation <= $2
		AND (EXISTS (SELECT 1 FROM delta_changes d WHERE d.generation = changes.generation)
			OR EXISTS (SELECT 1 FROM record_changes r WHERE r.generation = changes.generation)))`
	err = s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.freezeLog(ctx, tx); err != nil {
			return err
		}
		for _, text := range []string{
			`UPDATE head SET horizon = ` + newest + ` WHERE horizon < ` + newest,
			`DELETE FROM change_clusters WHERE generation IN ` + batch,
			`DELETE FROM assignment_changes WHERE generation IN ` + batch,
		} {
			if _, err := tx.ExecContext(ctx, text, ceilMicro(before), last); err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM changes WHERE `+outdated+` AND generation <= $2`, ceilMicro(before), last)
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

// pruneValues drops the contents of assignments and the waves of rollouts that no row names any
// more. It looks for them before any writer has to wait: no row comes to name one again, because
// each change writes its own, with ids that were never used.
func (s *Store) pruneValues(ctx context.Context, _ time.Time) error {
	for table, unused := range map[string]string{
		"assignment_values": `id NOT IN (SELECT value FROM assignments)
			AND id NOT IN (SELECT was FROM assignment_changes WHERE was IS NOT NULL)
			AND id NOT IN (SELECT became FROM assignment_changes WHERE became IS NOT NULL)`,
		"rollout_waves": `id NOT IN (SELECT rollout FROM head WHERE rollout IS NOT NULL)
			AND id NOT IN (SELECT waves FROM changes WHERE waves IS NOT NULL)`,
	} {
		var ids []any
		err := s.read(ctx, "prune", func(tx *sql.Tx) error {
			return each(ctx, tx, func(rows *sql.Rows) error {
				var id int64
				err := rows.Scan(&id)
				ids = append(ids, id)
				return err
			}, `SELECT id FROM `+table+` WHERE `+unused)
		})
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(ids, maxRows) {
			err := s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE id IN `+placeholders(1, len(chunk)), chunk...)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneTokens drops the tokens of clusters and of registration that ended before a time. There
// may be as many as there ever were clusters. Those of people are few and stay, because it must
// not be forgotten that there was one: a server without any lets everybody on its own machine in.
func (s *Store) pruneTokens(ctx context.Context, before time.Time) error {
	return s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE ends_at < $1 AND role IN ('cluster', 'bootstrap')`, ceilMicro(before)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM token_uses WHERE token NOT IN (SELECT token FROM tokens)`)
		return err
	})
}

// rollbackReleases is how many of the releases that went live last are kept, because somebody may
// want to go back to one. That is noticed within days, and teams that release several times a day
// go back to one of the last few.
const rollbackReleases = 10

// recent is the condition for the releases that somebody may want to go back to.
var recent = fmt.Sprintf(`release IN (SELECT release FROM (
	SELECT release, max(went_live) AS last FROM releases WHERE went_live IS NOT NULL GROUP BY release ORDER BY last DESC LIMIT %d) latest)`, rollbackReleases)

// pruneReleases drops the releases that ended before a time and that the state does not need, and
// the impacts that no release has any more.
func (s *Store) pruneReleases(ctx context.Context, before time.Time) error {
	return s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.freezeLog(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM releases WHERE changed_at < $1 AND state NOT IN ('live', 'rolling out', 'held')
			AND ref NOT IN (SELECT ref FROM releases_in_use) AND NOT `+recent, ceilMicro(before))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM impacts WHERE digest NOT IN (SELECT impact FROM releases WHERE impact IS NOT NULL)`)
		return err
	})
}

// pruneSnapshots drops the snapshots that the state does not need and that have had an hour to
// become needed.
func (s *Store) pruneSnapshots(ctx context.Context, _ time.Time) error {
	return s.write(ctx, "prune", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.freezeLog(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM snapshots WHERE saved_at < $1 AND digest NOT IN (
			SELECT snapshot FROM release_refs WHERE id IN (SELECT ref FROM releases_in_use)
				OR id IN (SELECT ref FROM releases WHERE state = 'held' OR `+recent+`))`, s.Now().Add(-grace).UnixMicro())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM parts WHERE digest NOT IN (SELECT part FROM snapshot_parts)`)
		return err
	})
}
