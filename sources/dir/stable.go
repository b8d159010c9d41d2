package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// maxAttempts is how often a directory is read if it keeps changing. The pauses
// between attempts double, so all of them take about 1.5 seconds.
const maxAttempts = 7

// readStable reads the directory until nothing changes during a read. A
// snapshot that is half old and half new is a state that never existed.
func (d *Directory) readStable(ctx context.Context) (*tree.Tree, error) {
	pause := 25 * time.Millisecond
	for attempt := 1; ; attempt++ {
		t, err := d.read(ctx)
		var moving *unstableError
		if !errors.As(err, &moving) || attempt == maxAttempts {
			return t, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// unstableError is the error for a directory that changed while it was read, or
// that could not be read for a reason that may pass.
type unstableError struct {
	name  string
	cause error
}

func (e *unstableError) Error() string {
	var at *fs.PathError
	if errors.As(e.cause, &at) && !errors.Is(at, fs.ErrNotExist) {
		return message.Printable(e.name) + ": " + at.Err.Error()
	}
	return message.Printable(e.name) + ": keeps changing while it is read; keep files that change all the time out of the fleet repo"
}

var errChanged = errors.New("has changed")

// entryState is the state of an entry before it was read.
type entryState struct {
	name string
	info fs.FileInfo
}

func (r *reader) stat(name string) (fs.FileInfo, error) {
	info, err := r.root.Lstat(name)
	if err != nil {
		return nil, &unstableError{name, err}
	}
	r.seen = append(r.seen, entryState{name, info})
	return info, nil
}

// verifyUnchanged returns an error if anything changed since it was read, or
// shortly before: a file that was just truncated is about to be written. The
// times of directories show added and removed files.
func (r *reader) verifyUnchanged() error {
	for _, before := range r.seen {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		now, err := r.root.Lstat(before.name)
		if err == nil && (!sameState(before.info, now) || r.recentlyChanged(now)) {
			err = errChanged
		}
		if err != nil {
			return &unstableError{before.name, err}
		}
	}
	return nil
}

// recentlyChanged reports whether an entry was modified so recently that more
// changes may follow. A time in the future only means that clocks differ.
func (r *reader) recentlyChanged(info fs.FileInfo) bool {
	age := r.now().Sub(info.ModTime())
	return age >= 0 && age < quietPeriod
}

func sameState(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Mode() == b.Mode() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
