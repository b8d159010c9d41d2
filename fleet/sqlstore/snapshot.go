package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// grace is how long a snapshot is kept before anything has to name it.
const grace = time.Hour

// SaveSnapshot stores a packed snapshot. Where it is there already its hour begins anew: the
// caller is about to use it.
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
		if len(p.Parts) > 0 { // Prune must not drop a part before the snapshot names it
			if err := s.freezeLog(ctx, tx); err != nil {
				return err
			}
		}
		_, err = s.exec(ctx, tx, `INSERT INTO snapshots (digest, saved_at, data) VALUES ($1, $2, $3)
			ON CONFLICT (digest) DO UPDATE SET saved_at = excluded.saved_at`, p.Digest, now, p.Data)
		if err != nil {
			return err
		}
		return s.saveParts(ctx, tx, p)
	})
}

// saveParts stores the parts of a snapshot that are not there yet, and which parts it has.
func (s *Store) saveParts(ctx context.Context, tx *sql.Tx, p *fleet.Packed) error {
	stored, err := storedParts(ctx, tx, p.Parts)
	if err != nil {
		return err
	}
	var links []any
	for i, part := range p.Parts {
		links = append(links, p.Digest, i, part.Digest)
		if stored[part.Digest] {
			continue
		}
		stored[part.Digest] = true
		if _, err := s.exec(ctx, tx, `INSERT INTO parts (digest, data) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`, part.Digest, part.Data); err != nil {
			return err
		}
	}
	return s.insertRows(ctx, tx, "snapshot_parts (snapshot, place, part)", " ON CONFLICT (snapshot, place) DO NOTHING", 3, links)
}

// storedParts returns which of some parts are stored already, by digest.
func storedParts(ctx context.Context, tx *sql.Tx, parts []fleet.PackedPart) (map[string]bool, error) {
	stored := map[string]bool{}
	for chunk := range slices.Chunk(parts, maxRows) {
		var digests []any
		for _, part := range chunk {
			digests = append(digests, part.Digest)
		}
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var digest string
			err := rows.Scan(&digest)
			stored[digest] = true
			return err
		}, `SELECT digest FROM parts WHERE digest IN `+placeholders(1, len(digests)), digests...)
		if err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// Snapshot returns a packed snapshot.
func (s *Store) Snapshot(ctx context.Context, digest string) (*fleet.Packed, error) {
	p := &fleet.Packed{Digest: digest}
	noun := "snapshot " + digest
	err := s.read(ctx, noun, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT data FROM snapshots WHERE digest = $1`, digest).Scan(&p.Data)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%s: %w", noun, fleet.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var part fleet.PackedPart
			err := rows.Scan(&part.Digest, &part.Data)
			p.Parts = append(p.Parts, part)
			return err
		}, `SELECT p.digest, p.data FROM snapshot_parts s JOIN parts p ON p.digest = s.part WHERE s.snapshot = $1 ORDER BY s.place`, digest)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}
