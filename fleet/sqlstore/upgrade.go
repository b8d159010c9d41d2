package sqlstore

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// fillReleases is the migration that lists what went live before there was a list of
// releases. It is no SQL because an ID is a hash, which SQLite has none of.
func fillReleases() *goose.Migration {
	return goose.NewGoMigration(4, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		if err := listReleases(ctx, tx); err != nil {
			return err
		}
		return noteStays(ctx, tx)
	}}, nil)
}

// listReleases lists the live release, and those before it as superseded by the one
// that came next, as far as their entries are there.
func listReleases(ctx context.Context, tx *sql.Tx) error {
	var next *fleet.Change
	var found []fleet.Change
	err := each(ctx, tx, func(rows *sql.Rows) error {
		c, err := scanChange(rows)
		found = append(found, c)
		return err
	}, `SELECT `+changeColumns+` FROM changes WHERE kind = 'release' ORDER BY generation DESC`)
	for i := 0; i < len(found) && err == nil; i++ {
		c := &found[i]
		r := &fleet.Release{
			ID: c.Release.ID(), Revision: c.Release.Revision, Digest: c.Release.Snapshot, Clusters: c.Release.Clusters,
			State: fleet.Live, At: c.At, Generation: c.Generation,
		}
		if next != nil {
			r.State, r.At, r.Generation = fleet.Superseded, next.At, next.Generation
		}
		next = c
		err = listRelease(ctx, tx, r, c.Generation)
	}
	return err
}

// listRelease lists one, unless the same went live again later.
func listRelease(ctx context.Context, tx *sql.Tx, r *fleet.Release, wentLive int64) error {
	d, err := releaseDocumentOf(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO releases (release, generation, changed_at, state, snapshot, went_live, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (release) DO NOTHING`,
		r.ID, r.Generation, r.At.UnixMicro(), string(r.State), orNull(r.Digest), wentLive, d.release)
	return err
}

// noteStays notes which release clusters are frozen on.
func noteStays(ctx context.Context, tx *sql.Tx) error {
	records, err := documentsIn[fleet.ClusterRecord](ctx, tx, recordLedger.current()+` AND d.snapshot IS NOT NULL`)
	for i := 0; i < len(records) && err == nil; i++ {
		release, _ := stayOf(records[i])
		_, err = tx.ExecContext(ctx, `UPDATE records SET release = $1 WHERE cluster = $2`, release, records[i].Cluster)
	}
	return err
}
