package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/tributary-gitops/tributary/fleet"
)

// openPostgres opens a database on a server.
func openPostgres(from string) (*dialect, *sql.DB, *sql.DB, error) {
	config, err := pgx.ParseConfig(from)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("store postgres://…: %w: %s", fleet.ErrInvalid, whyNotPostgres(from))
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(10)
	db.SetMaxIdleConns(10)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // so that the load spreads over the servers behind one name
	return &dialect{
		name:      goose.DialectPostgres,
		write:     &sql.TxOptions{Isolation: sql.LevelReadCommitted},
		read:      &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		limitIdle: `SET LOCAL idle_in_transaction_session_timeout = '10s'`,
		now:       `CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)`,
		notify:    `SELECT pg_notify('` + channel + `', $1)`,
		listen:    listenPostgres,
		tables:    `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1`,
		pairs:     `json_each_text(CAST($1 AS json))`,
		check:     checkPostgres,
		present:   func(context.Context, *sql.DB, bool) error { return nil },
		lock:      lockPostgres,
		conflict:  func(err error) bool { return hasState(err, serializationFailure, deadlockDetected, uniqueViolation) },
		full:      func(err error) bool { return hasState(err, diskFull) },
	}, db, db, nil
}

// whyNotPostgres returns what is wrong with a URL that pgx does not understand. The driver's own
// message may hold a part of the password, so it gets the URL without the password to explain.
// Where the password cannot be told from the rest, the message is a general one.
func whyNotPostgres(from string) string {
	const general = "must be postgres://USER:PASSWORD@HOST/DATABASE, with special characters in the password percent-encoded"
	u, err := url.Parse(from)
	if err != nil || strings.Contains(u.Path, "@") {
		return general
	}
	query := u.Query()
	query.Del("password")
	query.Del("sslpassword")
	u.User, u.RawQuery = nil, query.Encode()
	_, err = pgx.ParseConfig(u.String())
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) && parse.Unwrap() != nil {
		return parse.Unwrap().Error()
	}
	return general
}

// checkPostgres refuses a server that may lose what it acknowledges, or that cannot store every
// text.
func checkPostgres(ctx context.Context, db *sql.DB) error {
	var commit, encoding string
	err := db.QueryRowContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('server_encoding')`).
		Scan(&commit, &encoding)
	switch {
	case err != nil:
		return err
	case commit == "off":
		return errors.New("synchronous_commit is off, so an acknowledged write could be lost: " +
			"turn it on for the role or the database, or add synchronous_commit=on to the URL's query")
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s: must be UTF8", encoding)
	}
	return nil
}

// migrating is the key of the advisory lock, a number that no other program is likely to use.
const migrating = 0x7472696275746172 // "tributar"

// lockPostgres holds the lock by a transaction rather than a session, because that also works
// through a connection pooler, and ends with the connection.
func lockPostgres(ctx context.Context, db *sql.DB) (func() error, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrating)); err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx.Rollback, nil
}

// channel is where the servers of one database notify each other. A notice says that something
// has changed; what it is, its receiver reads from the log.
const channel = "tributary"

// listenPostgres takes a connection of its own out of the pool. Through a pooler that lends
// connections by transaction it hears nothing; servers poll the log as well.
func listenPostgres(ctx context.Context, db *sql.DB, heard func(fleet.Notice)) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // Raw has returned its error
	return conn.Raw(func(driver any) error {
		c := driver.(*stdlib.Conn).Conn()
		defer func() { _ = c.Close(context.Background()) }() // it must not go back to the pool while it listens
		if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
		heard(fleet.Notice{Look: true}) // notices that were sent before are lost
		for {
			n, err := c.WaitForNotification(ctx)
			if err != nil {
				return err
			}
			heard(readNotice(n.Payload))
		}
	})
}

// PostgreSQL's error codes.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	diskFull             = "53100"
)

func hasState(err error, states ...string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains(states, e.Code)
}
