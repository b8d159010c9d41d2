package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// TestFetchWaitsForRecentlyWrittenFiles checks that a file is not served while
// it may be truncated to be written again. The test sets the clock, so the
// speed of the machine does not matter.
func TestFetchWaitsForRecentlyWrittenFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "cut.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		age    time.Duration
		served bool
	}{{quietPeriod / 2, false}, {2 * quietPeriod, true}, {-time.Hour, true}} { // in the last case, clocks differ
		d := New(dir, tree.Limits{}, nil)
		d.now = func() time.Time { return info.ModTime().Add(c.age) }
		_, err := d.Fetch(context.Background(), "")
		var moving *unstableError
		if c.served != (err == nil) || c.served == errors.As(err, &moving) {
			t.Errorf("Fetch(), %v after a file was written = %v, want it served: %v", c.age, err, c.served)
		}
	}
}
