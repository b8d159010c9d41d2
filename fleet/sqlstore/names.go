package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/tributary-gitops/tributary/fleet"
)

// releaseIDs are the ids of release_refs of the releases that a change names. That of the zero
// value is 0.
type releaseIDs map[fleet.ReleaseRef]int64

// refsOf returns the releases that a change names, in any order and perhaps more than once.
func refsOf(c *fleet.Change) (refs []fleet.ReleaseRef) {
	assignment := func(a *fleet.Assignment) {
		for ; a != nil; a = a.Previous {
			refs = append(refs, a.Release)
		}
	}
	for _, x := range c.Assignments {
		assignment(x.After)
	}
	for _, x := range c.Records {
		for _, r := range []*fleet.ClusterRecord{x.Before, x.After} {
			if r.IsDecommissioned() {
				assignment(r.Decommissioned.Row)
			}
		}
	}
	for _, x := range c.Pins {
		for _, p := range []*fleet.Pin{x.Before, x.After} {
			if p != nil {
				refs = append(refs, p.Ref())
			}
		}
	}
	for _, r := range c.Releases {
		refs = append(refs, r.Ref())
	}
	if c.Release != nil {
		refs = append(refs, c.Release.Ref)
	}
	if c.Candidate != nil {
		refs = append(refs, *c.Candidate)
	}
	if c.Rollout != nil && c.Rollout.Started != nil {
		refs = append(refs, c.Rollout.Started.Release)
	}
	return refs
}

// nameReleases returns the ids of releases, and adds those that have none. The transaction must
// have the next generation, so that no other one adds ids at the same time.
func (s *Store) nameReleases(ctx context.Context, tx *sql.Tx, c *fleet.Change) (releaseIDs, error) {
	ids, commits := releaseIDs{}, map[fleet.ReleaseRef]*fleet.Commit{}
	for _, r := range c.Releases {
		commits[r.Ref()] = r.Commit
	}
	for _, ref := range refsOf(c) {
		if _, known := ids[ref]; known {
			continue
		}
		id, err := s.nameRelease(ctx, tx, ref, commits[ref])
		if err != nil {
			return nil, err
		}
		ids[ref] = id
	}
	return ids, nil
}

func (s *Store) nameRelease(ctx context.Context, tx *sql.Tx, ref fleet.ReleaseRef, commit *fleet.Commit) (id int64, err error) {
	if ref.IsZero() {
		return 0, nil
	}
	const find = `SELECT id FROM release_refs WHERE revision = $1 AND snapshot = $2`
	err = tx.QueryRowContext(ctx, find, ref.Revision, ref.Snapshot).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	about, err := encode("commit", commit)
	if err != nil {
		return 0, err
	}
	_, err = s.exec(ctx, tx, `INSERT INTO release_refs (id, revision, snapshot, commit_info)
		SELECT COALESCE(max(id), 0) + 1, $1, $2, $3 FROM release_refs`, ref.Revision, ref.Snapshot, about)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, find, ref.Revision, ref.Snapshot).Scan(&id)
	return id, err
}

// releaseNames are the rows of release_refs that have been read. Rows never change, and their ids
// ascend in the order in which they are committed, so what is missing is always at the end.
type releaseNames struct {
	mu   sync.Mutex
	byID refs
	last int64
}

// refs are releases by their id. The id 0 is that of the zero value.
type refs map[int64]namedRelease

type namedRelease struct {
	fleet.ReleaseRef
	commit *fleet.Commit
}

func (r refs) get(id int64) (fleet.ReleaseRef, error) {
	named, ok := r[id]
	if !ok && id != 0 {
		return named.ReleaseRef, fmt.Errorf("release %d has no name in the database", id)
	}
	return named.ReleaseRef, nil
}

// releaseRefs returns the releases that the state of a read transaction may name.
func (s *Store) releaseRefs(ctx context.Context, tx *sql.Tx) (refs, error) {
	s.names.mu.Lock()
	last, known := s.names.last, s.names.byID
	s.names.mu.Unlock()
	added := refs{}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		var named namedRelease
		var about []byte
		err := rows.Scan(&id, &named.Revision, &named.Snapshot, &about)
		if err == nil && about != nil {
			named.commit, err = decode[fleet.Commit](about)
		}
		added[id], last = named, max(last, id)
		return err
	}, `SELECT id, revision, snapshot, commit_info FROM release_refs WHERE id > $1`, last)
	if err != nil || len(added) == 0 {
		return known, err
	}
	all := maps.Clone(known)
	if all == nil {
		all = refs{}
	}
	maps.Copy(all, added)
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if last > s.names.last {
		s.names.byID, s.names.last = all, last
	}
	return all, nil
}
