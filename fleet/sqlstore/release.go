package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// releaseDocument is a release as it is kept: without the groups of its impact,
// which are apart.
type releaseDocument struct{ release, groups *string }

func releaseDocumentOf(r *fleet.Release) (d releaseDocument, err error) {
	short := *r
	if r.Impact != nil {
		impact := *r.Impact
		if short.Impact, impact.Groups = &impact, nil; len(r.Impact.Groups) > 0 {
			if d.groups, err = document(&r.Impact.Groups); err != nil {
				return d, fmt.Errorf("impact of release %s: %w: %w", r.ID, fleet.ErrInvalid, err)
			}
		}
	}
	if d.release, err = document(&short); err != nil {
		err = fmt.Errorf("release %s: %w: %w", r.ID, fleet.ErrInvalid, err)
	}
	return d, err
}

// changeReleases keeps releases as they are after a change, which of them is live,
// and where the fleet is going.
func (s *Store) changeReleases(ctx context.Context, tx *sql.Tx, c *fleet.Change, d documents) error {
	for i, r := range c.Releases {
		if err := s.saveRelease(ctx, tx, r, c.Generation, d.releases[i]); err != nil {
			return err
		}
	}
	if goesLive(c) {
		if err := s.goLive(ctx, tx, c); err != nil {
			return err
		}
	}
	if c.Lineup == nil {
		return nil
	}
	return s.saveLineup(ctx, tx, c.Lineup, d.lineup)
}

func (s *Store) saveRelease(ctx context.Context, tx *sql.Tx, r *fleet.Release, generation int64, d releaseDocument) error {
	var impact *string
	if r.Impact != nil {
		impact = &r.Impact.Digest
	}
	if r.Generation != 0 { // what only became known of it does not move it in the list
		generation = r.Generation
	}
	_, err := s.exec(ctx, tx, `INSERT INTO releases (release, generation, changed_at, state, snapshot, document, impact)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (release) DO UPDATE SET generation = excluded.generation, changed_at = excluded.changed_at,
			state = excluded.state, snapshot = excluded.snapshot, document = excluded.document, impact = excluded.impact`,
		r.ID, generation, r.At.UnixMicro(), string(r.State), orNull(r.Digest), d.release, impact)
	if err != nil || d.groups == nil {
		return err
	}
	_, err = s.exec(ctx, tx, `INSERT INTO impacts (digest, document) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`, impact, d.groups)
	return err
}

// orNull is NULL for an empty text, which is no reference to anything.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// goesLive tells whether a change is of a release that every cluster gets.
func goesLive(c *fleet.Change) bool { return c.Kind == fleet.WentLive && c.Release != nil }

// goLive notes what is live. Its snapshot must be here, because nobody can go
// back to a release without.
func (s *Store) goLive(ctx context.Context, tx *sql.Tx, c *fleet.Change) error {
	result, err := s.exec(ctx, tx, `UPDATE head SET live = $1, snapshot = $2
		WHERE EXISTS (SELECT 1 FROM snapshots WHERE digest = $2)`, c.Generation, c.Release.Snapshot)
	if err != nil {
		return err
	}
	if err := wantOne(result, "snapshot "+c.Release.Snapshot); err != nil {
		return err
	}
	_, err = s.exec(ctx, tx, `UPDATE releases SET went_live = $1 WHERE release = $2`, c.Generation, c.Release.ID())
	return err
}

// wantOne makes it an ErrNotFound that a statement hit nothing.
func wantOne(result sql.Result, noun string) error {
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fmt.Errorf("%s: %w", noun, fleet.ErrNotFound)
}
