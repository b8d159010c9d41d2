package sqlstore_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// TestFrozenWriterHoldsUpOthersForSecondsOnly: a server that is frozen or cut off when it has taken
// the next generation must not keep all others from writing until it is back.
func TestFrozenWriterHoldsUpOthersForSecondsOnly(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	direct := server.Database(t)
	others := open(t, direct)
	through, freeze := behindLine(t, direct)
	frozen := open(t, through)
	state, err := others.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The lock stops the append when it has taken the generation. The line then freezes, and the
	// end of the lock leaves a transaction that is idle.
	blocker, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer blocker.Close(context.Background())
	if _, err := blocker.Exec(t.Context(), `BEGIN; LOCK TABLE change_clusters`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = frozen.Append(ctx, changeAfter(state)) }() // its fate is not known
	for waiting := 0; waiting == 0; {
		err := blocker.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks
			WHERE NOT granted AND relation = 'change_clusters'::regclass`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	freeze()
	if _, err := blocker.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := others.Append(t.Context(), changeAfter(state)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("the other writer waited for %s", took)
	}
}

// behindLine returns the URL of a database behind a connection that can be frozen: it stays up, and
// nothing passes through it any more.
func behindLine(t *testing.T, from string) (through string, freeze func()) {
	t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "line")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	const socket = ".s.PGSQL.5432"
	real := filepath.Join(u.Query().Get("host"), socket)
	listener, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var frozen atomic.Bool
	carry := func(to, from net.Conn) {
		data := make([]byte, 1<<16)
		for {
			n, err := from.Read(data)
			if frozen.Load() {
				return
			}
			if err != nil {
				_ = to.Close()
				return
			}
			if _, err := to.Write(data[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", real)
			if err != nil {
				_ = near.Close()
				continue
			}
			t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
			go carry(near, far)
			go carry(far, near)
		}
	}()
	u.RawQuery = url.Values{"host": {dir}}.Encode()
	return u.String(), func() { frozen.Store(true) }
}
