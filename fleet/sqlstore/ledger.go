package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// ledger is a pair of tables about things of one type: changes has what became of them with each
// change, and current names, for each that there is now, the change that made it what it is.
type ledger[T any] struct {
	changes, current, id string
	// stored returns the document of a thing, and read the thing of a document.
	stored func(*T, releaseIDs) any
	read   func(document []byte, names refs) (*T, error)
}

var (
	deltaLedger = ledger[fleet.Delta]{
		"delta_changes", "deltas", "delta",
		func(d *fleet.Delta, _ releaseIDs) any { return d },
		func(document []byte, _ refs) (*fleet.Delta, error) { return decode[fleet.Delta](document) },
	}
	recordLedger = ledger[fleet.ClusterRecord]{"record_changes", "records", "cluster", storedRecord, readRecord}
	pinLedger    = ledger[fleet.Pin]{"pin_changes", "pins", "pin", storedPin, readPin}
	// The present tokens have a table of another shape; saveTokens writes it.
	tokenLedger = ledger[fleet.Token]{
		"token_changes", "", "token",
		func(t *fleet.Token, _ releaseIDs) any { return t },
		func(document []byte, _ refs) (*fleet.Token, error) { return decode[fleet.Token](document) },
	}
)

// row is a row of a ledger: what a thing was before a change and what it became; nil for nothing.
type row struct {
	id          string
	was, became *string
}

// row returns the row of one thing.
func (l ledger[T]) row(id string, before, after *T, ids releaseIDs) (row, error) {
	r := row{id: id}
	var err error
	document := func(v *T) *string {
		if v == nil || err != nil {
			return nil
		}
		stored := l.stored(v, ids)
		var text *string
		text, err = encode(id, &stored)
		return text
	}
	r.was, r.became = document(before), document(after)
	return r, err
}

// rowsOf returns the rows of everything that changed. Split takes one change apart.
func rowsOf[C, T any](l ledger[T], changes []C, ids releaseIDs, split func(C) (id string, before, after *T)) ([]row, error) {
	rows := make([]row, 0, len(changes))
	for _, c := range changes {
		id, before, after := split(c)
		r, err := l.row(id, before, after, ids)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func splitDelta(c fleet.DeltaChange) (string, *fleet.Delta, *fleet.Delta) {
	return c.Delta, c.Before, c.After
}

func splitRecord(c fleet.RecordChange) (string, *fleet.ClusterRecord, *fleet.ClusterRecord) {
	return c.Cluster, c.Before, c.After
}

func splitPin(c fleet.PinChange) (string, *fleet.Pin, *fleet.Pin) { return c.Pin, c.Before, c.After }

func splitToken(c fleet.TokenChange) (string, *fleet.Token, *fleet.Token) {
	return c.Token, c.Before, c.After
}

// recordChanges adds rows to a ledger.
func (s *Store) recordChanges(ctx context.Context, tx *sql.Tx, table, id string, generation int64, rows []row) error {
	values := make([]any, 0, 4*len(rows))
	for _, r := range rows {
		values = append(values, generation, r.id, r.was, r.became)
	}
	return s.insertRows(ctx, tx, table+" (generation, "+id+", was, became)", "", 4, values)
}

// applyToCurrent brings the table of what there is now up to date with rows of a ledger. Releases
// returns the ids of releases that a row names, for the columns of those names.
func (s *Store) applyToCurrent(ctx context.Context, tx *sql.Tx, table, id string, generation int64, rows []row, columns []string, releases func(i int) []any) error {
	into, conflict := table+" ("+id+", generation", " ON CONFLICT ("+id+") DO UPDATE SET generation = excluded.generation"
	for _, column := range columns {
		into += ", " + column
		conflict += ", " + column + " = excluded." + column
	}
	var values []any
	for i, r := range rows {
		if r.became == nil {
			if _, err := s.exec(ctx, tx, `DELETE FROM `+table+` WHERE `+id+` = $1`, r.id); err != nil {
				return err
			}
			continue
		}
		values = append(values, r.id, generation)
		if columns != nil {
			values = append(values, releases(i)...)
		}
	}
	return s.insertRows(ctx, tx, into+")", conflict, 2+len(columns), values)
}

// now returns the query for the documents of what there is now. It is a cross join because
// SQLite, which does not know how long the log is, then reads the tables in the given order.
func (l ledger[T]) now() string {
	return fmt.Sprintf(`SELECT c.became FROM %[2]s d CROSS JOIN %[1]s c
		WHERE c.generation = d.generation AND c.%[3]s = d.%[3]s`, l.changes, l.current, l.id)
}

// at returns the query for the documents as they were at the generation $1. It goes back from
// what there is now: what changed after the generation was what the first such change found. That
// needs no entry of the generation itself or from before it, so those may be pruned.
func (l ledger[T]) at() string {
	return fmt.Sprintf(`SELECT c.was FROM (
			SELECT %[2]s, min(generation) AS generation FROM %[1]s
			WHERE generation > $1 GROUP BY %[2]s) d
		CROSS JOIN %[1]s c
		WHERE c.generation = d.generation AND c.%[2]s = d.%[2]s AND c.was IS NOT NULL
		UNION ALL %[3]s AND d.generation <= $1`, l.changes, l.id, l.now())
}

// find reads the documents of a query.
func (l ledger[T]) find(ctx context.Context, tx *sql.Tx, names refs, text string, args ...any) ([]*T, error) {
	var found []*T
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var document []byte
		if err := rows.Scan(&document); err != nil {
			return err
		}
		v, err := l.read(document, names)
		found = append(found, v)
		return err
	}, text, args...)
	return found, err
}

// history calls add for each row of the ledger that a condition on the generation matches.
func (l ledger[T]) history(ctx context.Context, tx *sql.Tx, names refs, where string, args []any, add func(generation int64, id string, before, after *T)) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var generation int64
		var id string
		var was, became []byte
		if err := rows.Scan(&generation, &id, &was, &became); err != nil {
			return err
		}
		before, err := l.readOrNil(was, names)
		if err != nil {
			return err
		}
		after, err := l.readOrNil(became, names)
		if err != nil {
			return err
		}
		add(generation, id, before, after)
		return nil
	}, `SELECT generation, `+l.id+`, was, became FROM `+l.changes+where, args...)
}

func (l ledger[T]) readOrNil(document []byte, names refs) (*T, error) {
	if document == nil {
		return nil, nil
	}
	return l.read(document, names)
}
