package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Lead takes the lease or keeps it. One statement does it, so that of two servers
// that find it free one gets it.
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

// Resign gives the lease up, so that another need not wait for its end.
func (s *Store) Resign(ctx context.Context, holder string) error {
	return s.write(ctx, "lease", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `UPDATE lease SET holder = '', until = 0 WHERE holder = $1`, holder); err != nil {
			return err
		}
		return s.tell(ctx, tx, "look")
	})
}

// AskLook asks whoever leads to look at the source.
func (s *Store) AskLook(ctx context.Context) error {
	return s.write(ctx, "lease", func(ctx context.Context, tx *sql.Tx) error {
		if _, err := s.exec(ctx, tx, `UPDATE lease SET looks = looks + 1`); err != nil {
			return err
		}
		return s.tell(ctx, tx, "look")
	})
}

// tell tells those who Listen of a change or a look, once the transaction is kept.
func (s *Store) tell(ctx context.Context, tx *sql.Tx, what string) error {
	if s.dialect.tell == "" {
		return nil
	}
	_, err := s.exec(ctx, tx, s.dialect.tell, what)
	return err
}

// comingNotice is what the notice of a release begins with that may go live soon.
const comingNotice = "coming "

// longestNotice is less than what PostgreSQL takes, 8,000 bytes.
const longestNotice = 7000

// Announce keeps a snapshot, and tells those who Listen that its release is coming.
func (s *Store) Announce(ctx context.Context, revision string, p *fleet.Packed) error {
	notice := comingNotice + p.Digest + " " + revision
	if s.dialect.tell == "" || len(notice) > longestNotice {
		return nil
	}
	if err := s.SaveSnapshot(ctx, p); err != nil {
		return err
	}
	return s.write(ctx, "notice", func(ctx context.Context, tx *sql.Tx) error { return s.tell(ctx, tx, notice) })
}

// noticeOf is what a text tells. One that is not understood tells of a change: another
// version may have more to say.
func noticeOf(text string) fleet.Notice {
	if rest, is := strings.CutPrefix(text, comingNotice); is {
		digest, revision, _ := strings.Cut(rest, " ")
		return fleet.Notice{Coming: revision, Snapshot: digest}
	}
	return fleet.Notice{Look: text == "look"}
}

// Listen calls heard for each notice, and first for those that were missed before.
func (s *Store) Listen(ctx context.Context, heard func(fleet.Notice)) error {
	if s.dialect.listen == nil {
		return nil
	}
	return s.wrap(ctx, "change log", s.dialect.listen(ctx, s.reader, heard))
}
