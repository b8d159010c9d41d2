package sqlstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// walSizeLimit is the size to which SQLite may cut a WAL that it begins again.
const walSizeLimit = 64 << 20

// walHeader is the start of a WAL. SQLite writes another one whenever it begins the WAL again.
type walHeader [32]byte

// valid reports whether SQLite has written the header.
func (h walHeader) valid() bool { return binary.BigEndian.Uint32(h[:])&^1 == 0x377f0682 }

// sqliteFiles are the files of a database as they were when they were last looked at. SQLite
// does not look at them by name once it has them open. What it writes to a file that was
// removed, or behind the end of a WAL that was truncated, is lost when the process is killed.
//
// The files are only looked at, and only the WAL is opened: SQLite has locks on the others, and
// closing a file drops all locks that the process has on it.
type sqliteFiles struct {
	path string

	mu     sync.Mutex
	was    map[string]os.FileInfo // by what follows path
	header walHeader
	size   int64 // of the WAL
}

// present returns an error if one of the files is no longer the one that is open. Written says that
// this process has written to them, after which the WAL may have begun again at the same size.
func (f *sqliteFiles) present(ctx context.Context, db *sql.DB, written bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		now, err := os.Stat(f.path + suffix)
		was := f.was[suffix]
		switch {
		case err != nil && was == nil:
			continue // it has not been created yet
		case err != nil, was != nil && !os.SameFile(was, now):
			return fmt.Errorf("the file %s%s was removed or replaced while it was in use; stop the process without SIGKILL, which keeps what was written before, and start it again", f.path, suffix)
		}
		f.was[suffix] = now
	}
	wal := f.was["-wal"]
	if wal == nil || !written && wal.Size() == f.size {
		return nil
	}
	return f.wholeWAL(ctx, db, wal.Size())
}

// wholeWAL returns an error if the WAL was truncated. A checkpoint of another process may have
// done that, in which case nothing in it is needed.
// The size was read before the header is: a WAL that is begun again gets its header first and is cut
// later.
func (f *sqliteFiles) wholeWAL(ctx context.Context, db *sql.DB, size int64) error {
	header, err := readWALHeader(f.path + "-wal")
	if err != nil {
		return err
	}
	truncated := size > 0 && !header.valid() || header == f.header && size < min(f.size, walSizeLimit)
	if size == 0 && f.size > 0 {
		var busy, needed, copied int
		err := db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &needed, &copied)
		if errors.Is(err, context.Canceled) {
			return err
		}
		truncated = err != nil || needed > 0
	}
	if truncated {
		return fmt.Errorf("the file %s-wal was truncated while it was in use; start the process again, and restore a backup if changes are missing", f.path)
	}
	f.size, f.header = size, header
	return nil
}

func readWALHeader(name string) (header walHeader, err error) {
	file, err := os.Open(name)
	if err != nil {
		return header, err
	}
	defer file.Close()
	if _, err := file.ReadAt(header[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return header, err
	}
	return header, nil
}
