package dir

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// The limits on watches apply to the whole machine, so a test cannot reach them
// without affecting other processes.
func TestWatchLimitsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for cause, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "fs.inotify.max_user_watches",
		syscall.EMFILE: "fs.inotify.max_user_instances",
	} {
		if err := explainWatch(fmt.Errorf("add: %w", cause)); !strings.Contains(err.Error(), want) {
			t.Errorf("explainWatch(%v) = %q, want it to say %q", cause, err, want)
		}
	}
}
