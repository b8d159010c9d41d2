package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/tributary-gitops/tributary/fleet"
)

// What is read of a release: without the groups of its impact, which may be long,
// with them, and with them while it is held.
const (
	releaseAlone  = `SELECT document, generation, NULL FROM releases`
	releaseWhole  = `SELECT document, generation, (` + groups + `) FROM releases`
	releaseListed = `SELECT document, generation, CASE state WHEN 'held' THEN (` + groups + `) END FROM releases`

	groups = `SELECT i.document FROM impacts i WHERE i.digest = releases.impact`
)

// Releases returns those that match, newest first. Of those of one generation the one
// that came is before those that went for it.
func (s *Store) Releases(ctx context.Context, q fleet.ReleaseQuery) ([]fleet.Release, error) {
	where, args := pageOf(q)
	var found []fleet.Release
	err := s.read(ctx, "releases", func(tx *sql.Tx) error {
		return eachRelease(ctx, tx, func(r *fleet.Release) { found = append(found, *r) },
			releaseListed+where+` ORDER BY generation DESC, CASE state WHEN 'superseded' THEN 1 ELSE 0 END, release`, args...)
	})
	return found, err
}

// pageOf finds those of a page. It goes on to the end of its last generation, so that
// the next page can begin after that.
func pageOf(q fleet.ReleaseQuery) (where string, args []any) {
	f := &filter{}
	if q.State != "" {
		f.add(`state = $%d`, string(q.State))
	}
	if q.Before != 0 {
		f.add(`generation < $%d`, q.Before)
	}
	page := `SELECT generation FROM releases` + f.where() + ` ORDER BY generation DESC LIMIT ` + strconv.Itoa(cmp.Or(q.Limit, defaultLimit))
	f.conditions = append(f.conditions, `generation >= (SELECT min(generation) FROM (`+page+`) page)`)
	return f.where(), f.args
}

// Release returns one by its ID.
func (s *Store) Release(ctx context.Context, id string) (*fleet.Release, error) {
	var found *fleet.Release
	noun := fmt.Sprintf("release %q", id)
	err := s.read(ctx, noun, func(tx *sql.Tx) error {
		return eachRelease(ctx, tx, func(r *fleet.Release) { found = r }, releaseWhole+` WHERE release = $1`, id)
	})
	if err == nil && found == nil {
		err = fmt.Errorf("%s: %w", noun, fleet.ErrNotFound)
	}
	return found, err
}

// eachRelease gives those that a query finds to found.
func eachRelease(ctx context.Context, tx *sql.Tx, found func(*fleet.Release), text string, args ...any) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var document, groups []byte
		var generation int64
		if err := rows.Scan(&document, &generation, &groups); err != nil {
			return err
		}
		r, err := read[fleet.Release](document)
		if err != nil {
			return err
		}
		r.Generation = generation
		if r.Impact != nil && groups != nil {
			all, err := read[[]fleet.ImpactGroup](groups)
			if err != nil {
				return err
			}
			r.Impact.Groups = *all
		}
		found(r)
		return nil
	}, text, args...)
}
