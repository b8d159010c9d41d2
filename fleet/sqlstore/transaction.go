package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// commitTimeout is how long a commit may take before the connection is given up.
const commitTimeout = 30 * time.Second

// write runs a transaction that changes something. It ends when ctx does, unless
// it has come to its commit: that is seen through, so that who stopped waiting
// is not left with a change of which nobody knows whether it was made.
func (s *Store) write(ctx context.Context, noun string, do func(ctx context.Context, tx *sql.Tx) error) error {
	return s.wrap(ctx, noun, s.transact(ctx, do))
}

func (s *Store) transact(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	if err := s.dialect.present(); err != nil {
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
		_ = tx.Rollback() // as good as done: inner has ended
		return ctx.Err()
	}
	defer time.AfterFunc(commitTimeout, cancel).Stop()
	return tx.Commit()
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

// wrap makes an error one of those that fleet.Store names, with the noun. The
// driver's error ends there as text, because nobody else knows its kinds, and
// because it may be a deadline's that is not the caller's.
func (s *Store) wrap(ctx context.Context, noun string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNotFound):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", noun, ctx.Err())
	case s.dialect.conflict(err):
		return fmt.Errorf("%s: %w: %s", noun, fleet.ErrConflict, err.Error())
	case s.dialect.full(err):
		return fmt.Errorf("%s: %w: %s", noun, fleet.ErrStoreFull, err.Error())
	}
	return fmt.Errorf("%s: %w: %s", noun, fleet.ErrStore, err.Error())
}
