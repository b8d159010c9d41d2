package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// grace is how long a snapshot is kept before it need be of a live release.
const grace = time.Hour

// SaveSnapshot keeps a packed snapshot. One that is there is only kept for
// longer: whoever saves it is about to put it live.
func (s *Store) SaveSnapshot(ctx context.Context, p *fleet.Packed) error {
	noun := "snapshot " + p.Digest
	return s.write(ctx, noun, func(ctx context.Context, tx *sql.Tx) error {
		now := s.Now().UnixMicro()
		result, err := s.exec(ctx, tx, `UPDATE snapshots SET saved_at = $1 WHERE digest = $2`, now, p.Digest)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		_, err = s.exec(ctx, tx, `INSERT INTO snapshots (digest, saved_at, data) VALUES ($1, $2, $3)
			ON CONFLICT (digest) DO UPDATE SET saved_at = excluded.saved_at`, p.Digest, now, p.Data)
		return err
	})
}

// Snapshot returns a packed snapshot.
func (s *Store) Snapshot(ctx context.Context, digest string) (*fleet.Packed, error) {
	p := &fleet.Packed{Digest: digest}
	noun := "snapshot " + digest
	err := s.reader.QueryRowContext(ctx, `SELECT data FROM snapshots WHERE digest = $1`, digest).Scan(&p.Data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%s: %w", noun, fleet.ErrNotFound)
	}
	if err != nil {
		return nil, s.wrap(ctx, noun, err)
	}
	return p, nil
}
