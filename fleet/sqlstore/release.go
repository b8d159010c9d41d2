package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/tributary-gitops/tributary/fleet"
)

// saveReleases stores releases as they are after the change, the groups of an impact apart.
func (a *appending) saveReleases(ctx context.Context) error {
	for _, r := range a.change.Releases {
		if err := a.saveRelease(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// saveRelease replaces the row of a release, unless that is superseded: then the source has gone back to
// the revision, and this is another row.
func (a *appending) saveRelease(ctx context.Context, r *fleet.Release) error {
	noun := "release " + r.ID
	short := *r
	var impact, groups *string
	var err error
	if r.Impact != nil {
		without := *r.Impact
		without.Groups = nil
		short.Impact, impact = &without, &r.Impact.Digest
		if len(r.Impact.Groups) > 0 {
			if groups, err = encode(noun, &r.Impact.Groups); err != nil {
				return err
			}
		}
	}
	document, err := encode(noun, &short)
	if err != nil {
		return err
	}
	// A release of which only something became known keeps its place in the list.
	generation := cmp.Or(r.Generation, a.change.Generation)
	changed := r.At
	if !r.SupersededAt.IsZero() {
		changed = r.SupersededAt
	}
	row := []any{r.ID, a.ids[r.Ref()], generation, changed.UnixMicro(), string(r.State), document, impact}
	result, err := a.exec(ctx, a.tx, `UPDATE releases SET ref = $2, generation = $3, changed_at = $4, state = $5, document = $6, impact = $7
		WHERE release = $1 AND state <> 'superseded'`, row...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		_, err = a.exec(ctx, a.tx, `INSERT INTO releases (release, ref, generation, changed_at, state, document, impact)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, row...)
		if err != nil {
			return err
		}
	}
	if groups == nil {
		return nil
	}
	_, err = a.exec(ctx, a.tx, `INSERT INTO impacts (digest, document) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING`, impact, groups)
	return err
}

// The columns that are read of a release: without the groups of its impact, with them, and with
// them only while it is held.
const (
	releaseAlone  = `SELECT document, generation, NULL FROM releases`
	releaseWhole  = `SELECT document, generation, (` + groups + `) FROM releases`
	releaseListed = `SELECT document, generation, CASE state WHEN 'held' THEN (` + groups + `) END FROM releases`

	groups = `SELECT i.document FROM impacts i WHERE i.digest = releases.impact`
)

// Releases returns those that match, newest first. Of one generation, the release that went live
// comes before those that it superseded.
func (s *Store) Releases(ctx context.Context, q fleet.ReleaseQuery) ([]fleet.Release, error) {
	where, args := releasePage(q)
	var found []fleet.Release
	err := s.read(ctx, "releases", func(tx *sql.Tx) error {
		return eachRelease(ctx, tx, func(r *fleet.Release) { found = append(found, *r) },
			releaseListed+where+` ORDER BY generation DESC, CASE state WHEN 'superseded' THEN 1 ELSE 0 END, release`, args...)
	})
	return found, err
}

// releasePage returns the condition for a page. The page goes on to the end of its last
// generation, so that the next page can begin after that.
func releasePage(q fleet.ReleaseQuery) (where string, args []any) {
	f := &filter{}
	switch q.State {
	case "":
	case fleet.Live:
		f.conditions = append(f.conditions, `state IN ('live', 'rolling out')`)
	default:
		f.add(`state = $%d`, string(q.State))
	}
	if q.Before != 0 {
		f.add(`generation < $%d`, q.Before)
	}
	page := `SELECT generation FROM releases` + f.where() + ` ORDER BY generation DESC LIMIT ` + strconv.Itoa(cmp.Or(q.Limit, defaultLimit))
	f.conditions = append(f.conditions, `generation >= (SELECT min(generation) FROM (`+page+`) page)`)
	return f.where(), f.args
}

// Release returns the last one with an ID.
func (s *Store) Release(ctx context.Context, id string) (*fleet.Release, error) {
	var found *fleet.Release
	noun := fmt.Sprintf("release %q", id)
	err := s.read(ctx, noun, func(tx *sql.Tx) error {
		return eachRelease(ctx, tx, func(r *fleet.Release) { found = r }, releaseWhole+` WHERE release = $1 ORDER BY generation DESC LIMIT 1`, id)
	})
	if err == nil && found == nil {
		err = fmt.Errorf("%s: %w", noun, fleet.ErrNotFound)
	}
	return found, err
}

// releasesByID reads a few releases, in the order of their IDs, each once.
func releasesByID(ctx context.Context, tx *sql.Tx, ids []string) ([]*fleet.Release, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	byID := map[string]*fleet.Release{}
	var args []any
	for _, id := range ids {
		args = append(args, id)
	}
	err := eachRelease(ctx, tx, func(r *fleet.Release) { byID[r.ID] = r }, releaseAlone+` WHERE release IN `+placeholders(1, len(ids))+` ORDER BY generation`, args...)
	var found []*fleet.Release
	for _, id := range ids {
		if r := byID[id]; r != nil {
			found = append(found, r)
			delete(byID, id)
		}
	}
	return found, err
}

// eachRelease calls found for each release of a query.
func eachRelease(ctx context.Context, tx *sql.Tx, found func(*fleet.Release), text string, args ...any) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var document, groups []byte
		var generation int64
		if err := rows.Scan(&document, &generation, &groups); err != nil {
			return err
		}
		r, err := decode[fleet.Release](document)
		if err != nil {
			return err
		}
		r.Generation = generation
		if r.Impact != nil && groups != nil {
			all, err := decode[[]fleet.ImpactGroup](groups)
			if err != nil {
				return err
			}
			r.Impact.Groups = *all
		}
		found(r)
		return nil
	}, text, args...)
}
