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

// changesOf reads a page of entries.
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
	return found, addDetails(ctx, tx, found)
}

// addDetails reads what is of entries, in a few queries whatever their number.
func addDetails(ctx context.Context, tx *sql.Tx, found []fleet.Change) error {
	byGeneration := make(map[int64]*fleet.Change, len(found))
	for i := range found {
		byGeneration[found[i].Generation] = &found[i]
	}
	for chunk := range slices.Chunk(found, mostRows) {
		these, args := generationsOf(chunk)
		if err := addLedgers(ctx, tx, byGeneration, these, args); err != nil {
			return err
		}
		if err := addClusters(ctx, tx, byGeneration, these, args); err != nil {
			return err
		}
	}
	for i := range found {
		sortDetails(&found[i])
	}
	return nil
}

// sortDetails sorts here, because each database has its own order of text.
func sortDetails(c *fleet.Change) {
	slices.SortFunc(c.Deltas, func(a, b fleet.DeltaChange) int { return cmp.Compare(a.Delta, b.Delta) })
	slices.SortFunc(c.Records, func(a, b fleet.RecordChange) int { return cmp.Compare(a.Cluster, b.Cluster) })
	slices.SortFunc(c.Tokens, func(a, b fleet.TokenChange) int { return cmp.Compare(a.Token, b.Token) })
	slices.SortFunc(c.Pins, func(a, b fleet.PinChange) int { return cmp.Compare(a.Pin, b.Pin) })
	slices.Sort(c.Clusters)
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

const changeColumns = `generation, made_at, kind, actor, reason, revision, snapshot, clusters`

func scanChange(rows *sql.Rows) (fleet.Change, error) {
	var c fleet.Change
	var at int64
	var revision, snapshot sql.NullString
	var clusters sql.NullInt64
	err := rows.Scan(&c.Generation, &at, &c.Kind, &c.Actor, &c.Reason, &revision, &snapshot, &clusters)
	c.At = time.UnixMicro(at).UTC()
	if revision.Valid {
		c.Release = &fleet.LiveRelease{
			Revision: revision.String, Snapshot: snapshot.String, Clusters: int(clusters.Int64),
		}
	}
	return c, err
}

func addLedgers(ctx context.Context, tx *sql.Tx, to map[int64]*fleet.Change, these string, args []any) error {
	err := addNoted(ctx, tx, deltaLedger, these, args, func(generation int64, id string, before, after *fleet.Delta) {
		c := to[generation]
		c.Deltas = append(c.Deltas, fleet.DeltaChange{Delta: id, Before: before, After: after})
	})
	if err != nil {
		return err
	}
	err = addNoted(ctx, tx, recordLedger, these, args, func(generation int64, id string, before, after *fleet.ClusterRecord) {
		c := to[generation]
		c.Records = append(c.Records, fleet.RecordChange{Cluster: id, Before: before, After: after})
	})
	if err != nil {
		return err
	}
	err = addNoted(ctx, tx, tokenLedger, these, args, func(generation int64, id string, before, after *fleet.Token) {
		c := to[generation]
		c.Tokens = append(c.Tokens, fleet.TokenChange{Token: id, Before: before, After: after})
	})
	if err != nil {
		return err
	}
	return addNoted(ctx, tx, pinLedger, these, args, func(generation int64, id string, before, after *fleet.Pin) {
		c := to[generation]
		c.Pins = append(c.Pins, fleet.PinChange{Pin: id, Before: before, After: after})
	})
}

func addClusters(ctx context.Context, tx *sql.Tx, to map[int64]*fleet.Change, these string, args []any) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var generation int64
		var cluster string
		if err := rows.Scan(&generation, &cluster); err != nil {
			return err
		}
		to[generation].Clusters = append(to[generation].Clusters, cluster)
		return nil
	}, `SELECT generation, cluster FROM change_clusters`+these+` AND cluster <> ''`, args...)
}
