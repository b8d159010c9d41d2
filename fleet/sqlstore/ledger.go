package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// ledger is a pair of tables: what became of things with each change, and which
// are in force, each by the change that made it so.
type ledger struct{ changes, inForce, id string }

var (
	deltaLedger  = ledger{"delta_changes", "deltas", "delta"}
	recordLedger = ledger{"record_changes", "records", "cluster"}
	pinLedger    = ledger{"pin_changes", "pins", "pin"}
	// tokenLedger has the tokens' own table for those in force.
	tokenLedger = ledger{changes: "token_changes", id: "token"}
)

// current finds the documents in force. It is a cross join because SQLite, which
// has no idea how long the log is, takes the tables of one as they stand.
func (l ledger) current() string {
	return fmt.Sprintf(`SELECT c.became FROM %[2]s d CROSS JOIN %[1]s c
		WHERE c.generation = d.generation AND c.%[3]s = d.%[3]s`, l.changes, l.inForce, l.id)
}

// at finds the documents as they were at the generation $1. It goes back from what
// is in force: what was changed after the generation was what the first such change
// found. That needs no entry of the generation or before, so those may be pruned.
func (l ledger) at() string {
	return fmt.Sprintf(`SELECT c.was FROM (
			SELECT %[2]s, min(generation) AS generation FROM %[1]s
			WHERE generation > $1 GROUP BY %[2]s) d
		CROSS JOIN %[1]s c
		WHERE c.generation = d.generation AND c.%[2]s = d.%[2]s AND c.was IS NOT NULL
		UNION ALL %[3]s AND d.generation <= $1`, l.changes, l.id, l.current())
}

// note keeps what became of things with a change.
func (s *Store) note(ctx context.Context, tx *sql.Tx, l ledger, generation int64, changes []change) error {
	var rows []any
	for _, c := range changes {
		rows = append(rows, generation, c.id, c.was, c.became)
	}
	return s.insertRows(ctx, tx, l.changes+" (generation, "+l.id+", was, became)", "", 4, rows)
}

// settle keeps which things are in force after a change.
func (s *Store) settle(ctx context.Context, tx *sql.Tx, l ledger, generation int64, changes []change) error {
	if err := s.note(ctx, tx, l, generation, changes); err != nil {
		return err
	}
	var inForce []any
	for _, c := range changes {
		if c.became != nil {
			inForce = append(inForce, c.id, generation)
		}
	}
	err := s.insertRows(ctx, tx, l.inForce+" ("+l.id+", generation)",
		" ON CONFLICT ("+l.id+") DO UPDATE SET generation = excluded.generation", 2, inForce)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.became != nil {
			continue
		}
		if _, err := s.exec(ctx, tx, `DELETE FROM `+l.inForce+` WHERE `+l.id+` = $1`, c.id); err != nil {
			return err
		}
	}
	return nil
}

// documentsIn reads the documents that a query finds.
func documentsIn[T any](ctx context.Context, tx *sql.Tx, text string, args ...any) ([]*T, error) {
	var found []*T
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var document []byte
		if err := rows.Scan(&document); err != nil {
			return err
		}
		v, err := read[T](document)
		found = append(found, v)
		return err
	}, text, args...)
	return found, err
}

// addNoted reads what became of the things of a ledger with some changes, and
// has each given to them.
func addNoted[T any](ctx context.Context, tx *sql.Tx, l ledger, these string, args []any, add func(generation int64, id string, before, after *T)) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var generation int64
		var id string
		var was, became []byte
		if err := rows.Scan(&generation, &id, &was, &became); err != nil {
			return err
		}
		before, err := read[T](was)
		if err != nil {
			return err
		}
		after, err := read[T](became)
		if err != nil {
			return err
		}
		add(generation, id, before, after)
		return nil
	}, `SELECT generation, `+l.id+`, was, became FROM `+l.changes+these, args...)
}
