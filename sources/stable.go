package sources

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// attempts is how often a directory is read that changes meanwhile; the pauses
// between them double, so that all of it takes about a second and a half.
const maxAttempts = 7

// readSteady reads the directory until nothing changed while it was read, since
// a snapshot half of the old state and half of the new one was never committed
// by anyone.
func (d *directory) readStable(ctx context.Context) (*tree, error) {
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

// movingError says that a directory changed while it was read, or that it could
// not be read for a reason that may pass.
type unstableError struct {
	name  string
	cause error
}

func (e *unstableError) Error() string {
	var at *fs.PathError
	if errors.As(e.cause, &at) && !errors.Is(at, fs.ErrNotExist) {
		return printable(e.name) + ": " + at.Err.Error()
	}
	return printable(e.name) + ": keeps changing while it is read; keep files that change all the time out of the fleet repo"
}

var errChanged = errors.New("is not what it was")

// look is what an entry looked like before it was read.
type entryState struct {
	name string
	info fs.FileInfo
}

func (r *dirReader) stat(name string) (fs.FileInfo, error) {
	info, err := r.root.Lstat(name)
	if err != nil {
		return nil, &unstableError{name, err}
	}
	r.seen = append(r.seen, entryState{name, info})
	return info, nil
}

// lookAgain finds out whether anything changed since it was read, or only just
// before: whoever truncates a file is about to write it. The times of
// directories tell of files that came or went.
func (r *dirReader) verifyUnchanged() error {
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

// unsettled tells whether an entry was written so lately that more may follow. A
// time in the future says nothing but that clocks differ.
func (r *dirReader) recentlyChanged(info fs.FileInfo) bool {
	age := r.now().Sub(info.ModTime())
	return age >= 0 && age < quietPeriod
}

func sameState(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Mode() == b.Mode() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
