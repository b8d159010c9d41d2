package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// tries implements fleet.TryStore.
type tries struct{ store *Store }

// Tries returns what counts the tries of releases.
func (s *Store) Tries() fleet.TryStore { return tries{s} }

// keepTries is how long tries are remembered.
const keepTries = 24 * time.Hour

// Begin counts a try. Only the leader tries, so that no two servers count the same one.
func (t tries) Begin(ctx context.Context, revision string, most int) (before fleet.Tries, err error) {
	s, now := t.store, t.store.dialect.now
	err = s.write(ctx, "tries", func(ctx context.Context, tx *sql.Tx) error {
		before = fleet.Tries{}
		if _, err := s.exec(ctx, tx, `DELETE FROM tries WHERE begun_at < `+now+` - $1`, keepTries.Microseconds()); err != nil {
			return err
		}
		var since int64
		err := tx.QueryRowContext(ctx, `SELECT tries, `+now+` - begun_at FROM tries WHERE revision = $1`, revision).Scan(&before.Count, &since)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		before.Since = time.Duration(since) * time.Microsecond
		if before.Count >= most {
			return nil
		}
		_, err = s.exec(ctx, tx, `INSERT INTO tries (revision, tries, begun_at) VALUES ($1, 1, `+now+`)
			ON CONFLICT (revision) DO UPDATE SET tries = tries.tries + 1, begun_at = excluded.begun_at`, revision)
		return err
	})
	return before, err
}

// End forgets the tries of a revision.
func (t tries) End(ctx context.Context, revision string) error {
	return t.store.write(ctx, "tries", func(ctx context.Context, tx *sql.Tx) error {
		_, err := t.store.exec(ctx, tx, `DELETE FROM tries WHERE revision = $1`, revision)
		return err
	})
}
