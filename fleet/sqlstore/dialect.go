package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// dialect is all that differs between databases.
type dialect struct {
	name goose.Dialect
	// write and read begin transactions that see the changes of others before a
	// statement, and none at all.
	write, read *sql.TxOptions
	// prepares tells that statements are to be prepared once, because the driver
	// does not do that by itself.
	prepares bool
	// tables counts those of the name $1.
	tables string
	// check tells why the database must not be used.
	check func(ctx context.Context, db *sql.DB) error
	// present tells why what is written would not be found again.
	present func() error
	// lock keeps all others from migrating until unlock.
	lock func(ctx context.Context, db *sql.DB) (unlock func() error, err error)
	// guard is the statement by which a transaction ends by itself that its client has
	// left, be it frozen or cut off, before it keeps all others from writing; "" where
	// none can.
	guard string
	// now is the time in microseconds, as SQL.
	now string
	// tell is the statement that tells other servers of $1, "" where there is none,
	// and listen calls heard for each until it cannot hear any more.
	tell   string
	listen func(ctx context.Context, db *sql.DB, heard func(fleet.Notice)) error
	// conflict and full tell that somebody else was first, and that there is no
	// room. Whatever is neither means that the database cannot be used for now.
	conflict, full func(error) bool
}

// opener opens a database, with a pool for those who write and one for those who
// only read; they may be the same.
type opener func(url string) (d *dialect, writer, reader *sql.DB, err error)

// dialectOf chooses by the scheme. A URL that it does not know is not shown
// beyond that, because it may hold a password.
func dialectOf(url string) (opener, error) {
	scheme, _, ok := strings.Cut(url, ":")
	switch {
	case ok && scheme == "sqlite":
		return openSQLite, nil
	case ok && (scheme == "postgres" || scheme == "postgresql"):
		return openPostgres, nil
	case ok && strings.Contains(url, "://"):
		return nil, fmt.Errorf("store %s://…: %w: must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE", scheme, fleet.ErrInvalid)
	}
	return nil, fmt.Errorf("store: %w: must be sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE", fleet.ErrInvalid)
}
