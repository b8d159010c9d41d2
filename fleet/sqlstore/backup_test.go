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

// TestBackupOfABusyLogIsTheLogAtOneMoment makes the backups that docs/how-to/back-up-and-restore.md
// names while another process appends without pause. What is restored has all that
// was acknowledged before, is whole, adds up to what the log did at that generation,
// and takes the next change.
func TestBackupOfABusyLogIsTheLogAtOneMoment(t *testing.T) {
	onBothBackedUp(t, func(t *testing.T, url string, backup func() string) {
		const before, after = 20, 20
		a := startAppender(t, url)
		var acknowledged []string
		for len(acknowledged) < before && a.lines.Scan() {
			acknowledged = append(acknowledged, a.lines.Text())
		}
		restored := backup()
		if _, err := a.killAfter(after); err != nil {
			t.Fatalf("the backup ends the writes: %v", err)
		}
		wantWholeLog(t, restored, acknowledged)
		wantPast(t, restored, url)
		next := startAppender(t, restored)
		if _, err := next.killAfter(1); err != nil {
			t.Fatalf("what was restored takes no changes: %v", err)
		}
	})
}

// wantPast wants a log that is what another was at its generation.
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
	all := fleet.ChangeQuery{Before: state.Generation + 1, Limit: int(state.Generation) + 1} // the other has gone on for as long as the backup took
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

// onBothBackedUp runs a test on an empty database of each kind, with what makes a
// backup of it and restores that beside it.
func onBothBackedUp(t *testing.T, test func(t *testing.T, url string, backup func() string)) {
	t.Run("sqlite", func(t *testing.T) {
		url := sqliteFile(t)
		test(t, url, func() string {
			copied := filepath.Join(t.TempDir(), "backup.db")
			// Waits as the server does where the file is just being made.
			vacuum := exec.Command("sqlite3", "-cmd", ".timeout 10000", strings.TrimPrefix(url, "sqlite:"), "VACUUM INTO '"+copied+"'")
			if out, err := vacuum.CombinedOutput(); err != nil {
				t.Fatalf("sqlite3: %v\n%s", err, out)
			}
			return "sqlite:" + copied
		})
	})
	t.Run("postgres", func(t *testing.T) {
		server := pgtest.Start(t)
		url := server.Database(t)
		test(t, url, func() string {
			server.Dump(t, url, "backup.dump")
			copied := server.Database(t)
			server.Restore(t, "backup.dump", copied)
			return copied
		})
	})
}
