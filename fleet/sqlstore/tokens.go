package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

const tokenColumns = `document, hash, salt, proof`

// changeTokens keeps tokens as they are after a change. None is ever taken out
// again but by Prune.
func (s *Store) changeTokens(ctx context.Context, tx *sql.Tx, c *fleet.Change, changes []change) error {
	if err := s.note(ctx, tx, tokenLedger, c.Generation, changes); err != nil {
		return err
	}
	for i, x := range c.Tokens {
		t := x.After
		if t == nil {
			return fmt.Errorf("token %s: %w: is revoked rather than dropped", x.Token, fleet.ErrInvalid)
		}
		_, err := s.exec(ctx, tx, `INSERT INTO tokens (token, generation, role, document, hash, salt, proof, ends_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (token) DO UPDATE SET generation = excluded.generation, document = excluded.document, ends_at = excluded.ends_at`,
			t.ID, c.Generation, string(t.Role), changes[i].became, t.Hash[:], t.Salt, t.Proof, endOf(t))
		if err != nil {
			return err
		}
	}
	return nil
}

// endOf is when a token ended or will, in microseconds; nil for never.
func endOf(t *fleet.Token) *int64 {
	var end *int64
	if t.ExpiresAt != nil {
		at := t.ExpiresAt.UnixMicro()
		end = &at
	}
	if t.RevokedAt != nil {
		if at := t.RevokedAt.UnixMicro(); end == nil || at < *end {
			end = &at
		}
	}
	return end
}

// tokens reads those that a query finds, sorted by ID.
func tokens(ctx context.Context, tx *sql.Tx, text string, args ...any) ([]*fleet.Token, error) {
	var found []*fleet.Token
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var document, hash []byte
		var secret fleet.TokenSecret
		if err := rows.Scan(&document, &hash, &secret.Salt, &secret.Proof); err != nil {
			return err
		}
		t, err := read[fleet.Token](document)
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
	}, text, args...)
	slices.SortFunc(found, func(a, b *fleet.Token) int { return cmp.Compare(a.ID, b.ID) })
	return found, err
}
