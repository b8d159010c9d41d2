package sqlstore

import (
	"context"
	"database/sql/driver"
	"testing"
)

// TestSQLiteIsSetToSurvivePowerLoss: an acknowledged write survives a loss of power only with these
// settings.
func TestSQLiteIsSetToSurvivePowerLoss(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), newSQLiteFile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for setting, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		// A connection that was lost is replaced by one with the same settings.
		for range 2 {
			var got string
			if err := s.writer.QueryRow("PRAGMA " + setting).Scan(&got); err != nil || got != want {
				t.Errorf("%s = %q, want %q (%v)", setting, got, want, err)
			}
			s.loseConnection(t)
		}
	}
	if _, err := s.reader.Exec(`UPDATE head SET generation = 7`); err == nil {
		t.Error("a reader could write")
	}
}

// loseConnection makes the writer's one connection close.
func (s *Store) loseConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}
