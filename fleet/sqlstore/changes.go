package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Changes returns the entries that match, newest first.
func (s *Store) Changes(ctx context.Context, q fleet.ChangeQuery) ([]fleet.Change, error) {
	var found []fleet.Change
	err := s.read(ctx, "history", func(tx *sql.Tx) (err error) {
		found, err = changesOf(ctx, tx, q)
		return err
	})
	return found, err
}

// changesOf reads a page of entries, then what is of them, in a few queries
// whatever their number.
func changesOf(ctx context.Context, tx *sql.Tx, q fleet.ChangeQuery) ([]fleet.Change, error) {
	f := filterOf(q)
	var found []fleet.Change
	err := each(ctx, tx, func(rows *sql.Rows) error {
		c, err := scanChange(rows)
		found = append(found, c)
		return err
	}, f.page(cmp.Or(q.Limit, defaultLimit)), f.args...)
	if err != nil {
		return nil, err
	}
	byGeneration := make(map[int64]*fleet.Change, len(found))
	for i := range found {
		byGeneration[found[i].Generation] = &found[i]
	}
	for chunk := range slices.Chunk(found, mostRows) {
		these, args := generationsOf(chunk)
		if err := addDeltas(ctx, tx, byGeneration, these, args); err != nil {
			return nil, err
		}
		if err := addClusters(ctx, tx, byGeneration, these, args); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// generationsOf is a condition for those of a few changes. Their number is made
// up to a power of two, for the reason that insertRows has.
func generationsOf(changes []fleet.Change) (condition string, args []any) {
	for _, c := range changes {
		args = append(args, c.Generation)
	}
	for len(args)&(len(args)-1) != 0 {
		args = append(args, args[0])
	}
	return ` WHERE generation IN ` + placeholders(1, len(args)), args
}

func scanChange(rows *sql.Rows) (fleet.Change, error) {
	var c fleet.Change
	var at int64
	var revision, snapshot sql.NullString
	var clusters sql.NullInt64
	err := rows.Scan(&c.Generation, &at, &c.Kind, &c.Actor, &c.Reason, &revision, &snapshot, &clusters)
	c.At = time.UnixMicro(at).UTC()
	if snapshot.Valid {
		c.Release = &fleet.LiveRelease{
			Revision: revision.String, Snapshot: snapshot.String, Clusters: int(clusters.Int64),
		}
	}
	return c, err
}

func addDeltas(ctx context.Context, tx *sql.Tx, to map[int64]*fleet.Change, these string, args []any) error {
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var generation int64
		var d fleet.DeltaChange
		var was, became []byte
		if err := rows.Scan(&generation, &d.Delta, &was, &became); err != nil {
			return err
		}
		var err error
		if d.Before, err = deltaOf(was); err != nil {
			return err
		}
		if d.After, err = deltaOf(became); err != nil {
			return err
		}
		to[generation].Deltas = append(to[generation].Deltas, d)
		return nil
	}, `SELECT generation, delta, was, became FROM delta_changes`+these, args...)
	for _, c := range to {
		slices.SortFunc(c.Deltas, func(a, b fleet.DeltaChange) int { return cmp.Compare(a.Delta, b.Delta) })
	}
	return err
}

func addClusters(ctx context.Context, tx *sql.Tx, to map[int64]*fleet.Change, these string, args []any) error {
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var generation int64
		var cluster string
		if err := rows.Scan(&generation, &cluster); err != nil {
			return err
		}
		to[generation].Clusters = append(to[generation].Clusters, cluster)
		return nil
	}, `SELECT generation, cluster FROM change_clusters`+these+` AND cluster <> ''`, args...)
	for _, c := range to {
		slices.Sort(c.Clusters)
	}
	return err
}
