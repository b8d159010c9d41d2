package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// statements are those of transactions that write, by their text, prepared once
// they have been run. There are a few: each is a constant, or one of insertRows.
type statements struct {
	mu     sync.Mutex
	byText map[string]*sql.Stmt // nil where it is yet to be prepared
}

// exec runs a short statement in a transaction that writes. One that goes through whole
// tables is to end with its context, and is the transaction's own to run.
func (s *Store) exec(ctx context.Context, tx *sql.Tx, text string, args ...any) (sql.Result, error) {
	if s.dialect.prepares {
		if stmt := s.statements.get(text); stmt != nil {
			// For a context that can end, the driver starts a goroutine with each statement. The
			// transaction ends with it between two of them.
			ctx = context.WithoutCancel(ctx)
			return tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
		}
	}
	return tx.ExecContext(ctx, text, args...)
}

// get returns a prepared statement, or notes that it should be one. To prepare
// it now would wait for ever for the connection, which the transaction has.
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

// prepare prepares what has been noted; it must be called outside a transaction.
func (s *statements) prepare(ctx context.Context, db *sql.DB) error {
	for _, text := range s.noted() {
		stmt, err := db.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		s.mu.Lock()
		old := s.byText[text] // another may have been as quick
		if old == nil {
			s.byText[text] = stmt
		}
		s.mu.Unlock()
		if old != nil {
			_ = stmt.Close() // it never ran
		}
	}
	return nil
}

func (s *statements) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var noted []string
	for text, stmt := range s.byText {
		if stmt == nil {
			noted = append(noted, text)
		}
	}
	return noted
}

// Close lets go of the statements.
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
