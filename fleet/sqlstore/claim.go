package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/tributary-gitops/tributary/fleet"
)

// handover is how long a server waits for another process to end that serves the same SQLite file: a
// server that is restarted still sends its last answers.
const handover = 3 * time.Second

// ClaimFile makes this process the only server of a SQLite file, until release is called or the process
// ends. It is an ErrConflict where another process is. Several servers may share a PostgreSQL database.
func ClaimFile(ctx context.Context, url string) (release func() error, err error) {
	path, is := strings.CutPrefix(url, "sqlite:")
	if !is {
		return func() error { return nil }, nil
	}
	limited, cancel := context.WithTimeout(ctx, handover)
	defer cancel()
	file := flock.New(path + ".server")
	_, err = file.TryLockContext(limited, 50*time.Millisecond)
	switch {
	case err == nil:
		return file.Unlock, nil
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w: another process serves the file: stop that one, use another file, or let both share a PostgreSQL database", fleet.ErrConflict)
	}
	return nil, err
}

// ClaimSource makes a store that of a source, by its name. It is an ErrConflict where a release of another
// source is live, unless movedFrom names that source.
func ClaimSource(ctx context.Context, s *Store, source, movedFrom string) error {
	return s.write(ctx, "source", func(ctx context.Context, tx *sql.Tx) error {
		var known string
		var live bool
		err := tx.QueryRowContext(ctx, `SELECT source, (SELECT live FROM head) IS NOT NULL FROM fleet_source`).Scan(&known, &live)
		switch {
		case err != nil || known == source:
			return err
		case live && known != "" && known != movedFrom:
			return fmt.Errorf("%w: the store has the fleet of %s, and the SOURCE of this server is %s; "+
				"name another --store, or add --moved-from %s if the fleet has moved", fleet.ErrConflict, known, source, known)
		}
		_, err = s.exec(ctx, tx, `UPDATE fleet_source SET source = $1`, source)
		return err
	})
}
