package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// mostRows is the most rows of one statement; of the parameters that both
// databases allow it takes a small part.
const mostRows = 256

// insertRows inserts rows of as many columns each, in few statements. Their
// numbers of rows are powers of two, so that a driver that keeps statements
// prepared comes to know them all.
func (s *Store) insertRows(ctx context.Context, tx *sql.Tx, into, conflict string, columns int, values []any) error {
	for rows := mostRows; rows > 0; rows /= 2 {
		for size := rows * columns; len(values) >= size; values = values[size:] {
			text := "INSERT INTO " + into + " VALUES " + placeholders(rows, columns) + conflict
			if _, err := s.exec(ctx, tx, text, values[:size]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// placeholders are those of rows: ($1, $2), ($3, $4).
func placeholders(rows, columns int) string {
	var b strings.Builder
	for n := range rows * columns {
		switch {
		case n == 0:
			b.WriteString("(")
		case n%columns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", n+1)
	}
	return b.String() + ")"
}
