package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// dialect is all that differs between SQLite and PostgreSQL. The SQL elsewhere is what both
// understand; another database may need more.
type dialect struct {
	name goose.Dialect
	// write begins a transaction in which each statement sees what others have committed before
	// it; read begins one in which all see the same.
	write, read *sql.TxOptions
	// prepares reports that statements have to be prepared once, because the driver does not do
	// that by itself.
	prepares bool
	// tables counts the tables of the name $1.
	tables string
	// pairs is the table of the names and values, key and value, of the JSON object $1.
	pairs string
	// check returns why the database must not be used.
	check func(ctx context.Context, db *sql.DB) error
	// present returns why what is written would not be found again, or was not.
	// Written says that this process has written since the last call.
	present func(ctx context.Context, db *sql.DB, written bool) error
	// lock keeps all other processes from migrating until unlock.
	lock func(ctx context.Context, db *sql.DB) (unlock func() error, err error)
	// limitIdle is the statement after which the database ends a transaction whose client is
	// frozen or cut off; empty where there is none.
	limitIdle string
	// now is the time in microseconds, as SQL.
	now string
	// notify is the statement that sends $1 to other servers, empty where there is none. Listen
	// calls heard for each until the connection is lost.
	notify string
	listen func(ctx context.Context, db *sql.DB, heard func(fleet.Notice)) error
	// conflict reports that another writer was first, and full that there is no space left. Any
	// other error means that the database cannot be used at the moment.
	conflict, full func(error) bool
}

// opener opens a database, with one pool of connections for writers and one for readers, which
// may be the same.
type opener func(url string) (d *dialect, writer, reader *sql.DB, err error)

// dialectOf chooses by the URL's scheme. Of a URL that it does not know an error shows only the
// scheme, because the rest may hold a password.
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
