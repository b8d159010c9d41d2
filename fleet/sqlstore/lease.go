package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Lead takes or renews the lease. One statement does it, so that of two servers that find the
// lease free one gets it.
func (s *Store) Lead(ctx context.Context, holder string, ttl time.Duration) (held bool, looks int64, err error) {
	now := s.dialect.now
	err = s.write(ctx, "lease", func(ctx context.Context, tx *sql.Tx) error {
		result, err := s.exec(ctx, tx, `UPDATE lease SET holder = $1, until = `+now+` + $2
			WHERE holder = $1 OR until <= `+now, holder, ttl.Microseconds())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		held = n == 1
		return tx.QueryRowContext(ctx, `SELECT looks FROM lease`).Scan(&looks)
	})
	if err != nil {
		return false, 0, err
	}
	return held, looks, nil
}

// ReleaseLease gives the lease up, so that another server need not wait for its end.
func (s *Store) ReleaseLease(ctx context.Context, holder string) error {
	return s.write(ctx, "lease", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `UPDATE lease SET holder = '', until = 0 WHERE holder = $1`, holder); err != nil {
			return err
		}
		return s.notify(ctx, tx, lookNotice)
	})
}

// RequestLook asks the leader to look at the source.
func (s *Store) RequestLook(ctx context.Context) error {
	return s.write(ctx, "lease", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `UPDATE lease SET looks = looks + 1`); err != nil {
			return err
		}
		return s.notify(ctx, tx, lookNotice)
	})
}

// The texts of notices. That of an announced release goes on with its digest and revision.
const (
	changeNotice = "change"
	lookNotice   = "look"
	comingNotice = "coming "
)

// maxNotice is less than what PostgreSQL accepts, which is 8,000 bytes.
const maxNotice = 7000

// notify sends a notice to those who listen, once the transaction is committed.
func (s *Store) notify(ctx context.Context, tx *sql.Tx, notice string) error {
	if s.dialect.notify == "" {
		return nil
	}
	_, err := s.exec(ctx, tx, s.dialect.notify, notice)
	return err
}

// Announce stores a snapshot, and notifies those who listen that its release may come.
func (s *Store) Announce(ctx context.Context, revision string, p *fleet.Packed) error {
	notice := comingNotice + p.Digest + " " + revision
	if s.dialect.notify == "" || len(notice) > maxNotice {
		return nil
	}
	if err := s.SaveSnapshot(ctx, p); err != nil {
		return err
	}
	return s.write(ctx, "notice", func(ctx context.Context, tx *sql.Tx) error { return s.notify(ctx, tx, notice) })
}

// readNotice returns what a text says. One that is not understood is about a change: it comes
// from another version.
func readNotice(text string) fleet.Notice {
	if rest, is := strings.CutPrefix(text, comingNotice); is {
		digest, revision, _ := strings.Cut(rest, " ")
		return fleet.Notice{Coming: fleet.ReleaseRef{Revision: revision, Snapshot: digest}}
	}
	return fleet.Notice{Look: text == lookNotice}
}

// Listen calls heard for each notice, and first for those that were missed before.
func (s *Store) Listen(ctx context.Context, heard func(fleet.Notice)) error {
	if s.dialect.listen == nil {
		return nil
	}
	return s.wrap(ctx, "change log", s.dialect.listen(ctx, s.reader, heard))
}
