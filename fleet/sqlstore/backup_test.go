package sqlstore_test

import (
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// TestBackupOfABusyLogIsTheLogAtOneMoment makes the documented backups while another process appends
// without pause. What is restored has everything that was acknowledged before, is whole, adds up to
// what the log did at that generation, and accepts the next change.
func TestBackupOfABusyLogIsTheLogAtOneMoment(t *testing.T) {
	t.Parallel()
	onBothBackedUp(t, func(t *testing.T, url string, backup func() string) {
		const before, after = 20, 20
		a := startAppender(t, url)
		var acknowledged []string
		for len(acknowledged) < before && a.lines.Scan() {
			acknowledged = append(acknowledged, a.lines.Text())
		}
		restored := backup()
		if _, err := a.killAfter(after); err != nil {
			t.Fatalf("the backup stops the writes: %v", err)
		}
		wantWholeLog(t, restored, acknowledged)
		wantPast(t, restored, url)
		next := startAppender(t, restored)
		if _, err := next.killAfter(1); err != nil {
			t.Fatalf("what was restored accepts no changes: %v", err)
		}
	})
}

// wantPast checks that a log is what another one was at its generation.
func wantPast(t *testing.T, restored, of string) {
	t.Helper()
	past, whole := open(t, restored), open(t, of)
	state, err := past.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	then, err := whole.StateAt(t.Context(), state.Generation)
	if err != nil || !reflect.DeepEqual(state.Deltas, then.Deltas) {
		t.Errorf("deltas restored at generation %d are %v, want those of %v, %v", state.Generation, state.Deltas, then, err)
	}
	all := fleet.ChangeQuery{Before: state.Generation + 1, Limit: int(state.Generation) + 1} // the other has gone on while the backup was made
	got, err := past.Changes(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	want, err := whole.Changes(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the history restored has %d entries that are not the %d there were", len(got), len(want))
	}
}

// onBothBackedUp runs a test on an empty database of each kind, with a function that makes a backup
// and restores it beside the database.
func onBothBackedUp(t *testing.T, test func(t *testing.T, url string, backup func() string)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		url := sqliteFile(t)
		test(t, url, func() string {
			copied := filepath.Join(t.TempDir(), "backup.db")
			// It waits, as the server does, while the file is being created.
			vacuum := exec.Command("sqlite3", "-cmd", ".timeout 10000", strings.TrimPrefix(url, "sqlite:"), "VACUUM INTO '"+copied+"'")
			if out, err := vacuum.CombinedOutput(); err != nil {
				t.Fatalf("sqlite3: %v\n%s", err, out)
			}
			return "sqlite:" + copied
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := pgtest.Shared(t)
		url := server.Database(t)
		test(t, url, func() string {
			const file = "backup.dump" // of this test alone
			server.Dump(t, url, file)
			copied := server.Database(t)
			server.Restore(t, file, copied)
			return copied
		})
	})
}
