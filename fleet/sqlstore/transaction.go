package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// commitTimeout is how long a commit may take before the connection is given up.
const commitTimeout = 30 * time.Second

// write runs a transaction that changes something. It ends with ctx, except while it commits: a
// commit is waited for, so that the caller never gets an error for a change that was made. Only
// where the files of the database are lost meanwhile it does, because the change may be too.
func (s *Store) write(ctx context.Context, noun string, do func(ctx context.Context, tx *sql.Tx) error) error {
	return s.wrap(ctx, noun, s.transact(ctx, do))
}

func (s *Store) transact(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	if err := s.dialect.present(inner, s.writer, false); err != nil {
		return err
	}
	if err := s.statements.prepare(inner, s.writer); err != nil {
		return err
	}
	tx, err := s.writer.BeginTx(inner, s.dialect.write)
	if err != nil {
		return err
	}
	if err := do(inner, tx); err != nil {
		_ = tx.Rollback() // err says what went wrong
		return err
	}
	if !stop() {
		_ = tx.Rollback() // inner has ended already
		return ctx.Err()
	}
	defer time.AfterFunc(commitTimeout, cancel).Stop()
	if err := tx.Commit(); err != nil {
		return err
	}
	return s.dialect.present(inner, s.writer, true)
}

// read runs a transaction in which every query sees the same state.
func (s *Store) read(ctx context.Context, noun string, do func(tx *sql.Tx) error) error {
	tx, err := s.reader.BeginTx(ctx, s.dialect.read)
	if err == nil {
		err = do(tx)
		_ = tx.Rollback() // there is nothing to keep
	}
	return s.wrap(ctx, noun, err)
}

// wrap makes an error one of those that fleet.Store names, with the noun. Of the driver's error
// only the text remains, because no caller knows its kinds, and because it may be a deadline that
// is not the caller's.
func (s *Store) wrap(ctx context.Context, noun string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNotFound), errors.Is(err, fleet.ErrInvalid):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", noun, ctx.Err())
	case s.dialect.conflict(err):
		return fmt.Errorf("%s: %w: %s", noun, fleet.ErrConflict, err.Error())
	case s.dialect.full(err):
		return fmt.Errorf("%s: %w: %s", noun, fleet.ErrStoreFull, err.Error())
	}
	if lost := s.dialect.present(ctx, s.writer, true); lost != nil {
		err = lost // the driver's error follows from it
	}
	return fmt.Errorf("%s: %w: %s", noun, fleet.ErrStore, err.Error())
}

// freezeLog keeps changes from being appended until the transaction ends, so that what the next
// statement finds stays true.
func (s *Store) freezeLog(ctx context.Context, tx *sql.Tx) error {
	if err := s.limitIdle(ctx, tx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE head SET horizon = horizon`)
	return err
}

// limitIdle makes the database end the transaction where its client stops in the middle of it. It
// must come before the first lock that other writers wait for.
func (s *Store) limitIdle(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.limitIdle == "" {
		return nil
	}
	_, err := s.exec(ctx, tx, s.dialect.limitIdle)
	return err
}

// each calls scan for each row of a query.
func each(ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) error, text string, args ...any) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err has it
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// maxRows is the largest number of rows of one statement. Its parameters stay far below what
// both databases allow.
const maxRows = 64

// insertRows inserts rows of as many columns each, in few statements. The numbers of rows are
// powers of two, so that there are few texts for a driver to keep prepared.
func (s *Store) insertRows(ctx context.Context, tx *sql.Tx, into, conflict string, columns int, values []any) error {
	for rows := maxRows; rows > 0; rows /= 2 {
		for size := rows * columns; len(values) >= size; values = values[size:] {
			text := "INSERT INTO " + into + " VALUES " + placeholders(rows, columns) + conflict
			if _, err := s.exec(ctx, tx, text, values[:size]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// placeholders returns those of rows: ($1, $2), ($3, $4).
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

// orNull returns NULL for an empty text.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// ceilMicro returns the first microsecond that is not before t. Times are kept to the
// microsecond, so what is before t is what is before that.
func ceilMicro(t time.Time) int64 {
	micro := t.UnixMicro()
	if time.UnixMicro(micro).Before(t) {
		micro++
	}
	return micro
}

// statements are the prepared statements of transactions that write, by text. A statement is
// prepared when it has run once. There are few texts: each is a constant, or one of insertRows.
type statements struct {
	mu     sync.Mutex
	byText map[string]*sql.Stmt // nil where it still has to be prepared
}

// exec runs a short statement in a transaction that writes. One that reads a whole table should
// end with its context: run it on the transaction itself.
func (s *Store) exec(ctx context.Context, tx *sql.Tx, text string, args ...any) (sql.Result, error) {
	if s.dialect.prepares {
		if stmt := s.statements.get(text); stmt != nil {
			// For a context that can end, the driver starts a goroutine with each statement. The
			// transaction ends with the context between two statements.
			ctx = context.WithoutCancel(ctx)
			return tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
		}
	}
	return tx.ExecContext(ctx, text, args...)
}

// get returns a prepared statement, or records that it should be prepared. Preparing it here
// would wait forever for the connection, which the transaction has.
func (s *statements) get(text string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	stmt, ok := s.byText[text]
	if !ok {
		if s.byText == nil {
			s.byText = map[string]*sql.Stmt{}
		}
		s.byText[text] = nil
	}
	return stmt
}

// prepare prepares the statements that have been recorded. It must be called outside a
// transaction.
func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, text := range s.unprepared() {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		s.mu.Lock()
		other := s.byText[text]
		if other == nil {
			s.byText[text] = stmt
		}
		s.mu.Unlock()
		if other != nil {
			_ = stmt.Close() // another goroutine was faster
		}
	}
	return nil
}

func (s *statements) unprepared() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var texts []string
	for text, stmt := range s.byText {
		if stmt == nil {
			texts = append(texts, text)
		}
	}
	return texts
}

// Close closes the statements.
func (s *statements) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, stmt := range s.byText {
		if stmt != nil {
			err = errors.Join(err, stmt.Close())
		}
	}
	s.byText = nil
	return err
}
