package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Snapshot is the immutable tree of files at one revision of a source.
type Snapshot struct {
	// Revision is the source's version, written as Flux writes it:
	// main@sha1:<40 hex>, v1.2.0@sha256:<64 hex>, local@sha256:<64 hex>.
	Revision string
	// Tree holds the files. Reading it needs no network and gives the same
	// bytes for as long as it is held.
	Tree fs.FS
}

// Content stands for the bytes of a file in a tree. Where the fs.FileInfo of two files,
// of one tree or of two, have an equal one as their Sys, the files hold the same.
type Content struct {
	first *byte // kept, so that nothing else comes to stand there
	size  int
}

// ContentOf stands for bytes that are never written to.
func ContentOf(data []byte) Content {
	if len(data) == 0 {
		return Content{}
	}
	return Content{&data[0], len(data)}
}

// Source is where the fleet repo comes from. Package sources has them.
type Source interface {
	// String names the source for logs and status, without credentials.
	String() string
	// Fetch returns the present snapshot. Where its revision is still known,
	// nothing is read beyond what tells so, and the snapshot is nil. A revision
	// that is there but no snapshot can be made of is a *RefusedError.
	Fetch(ctx context.Context, known string) (*Snapshot, error)
	// Watch calls moved whenever the source notices by itself that a Fetch
	// would find something new, until ctx ends. A source that cannot notice
	// returns nil at once.
	Watch(ctx context.Context, moved func()) error
}

// RefusedError says what is wrong with a revision that the source holds, in the
// tree itself as opposed to the way to it. It is an ErrInvalid.
type RefusedError struct {
	// Revision is that of the tree; a directory that cannot be read whole has
	// none beyond `local`.
	Revision string
	Problem  Problem
}

func (e *RefusedError) Error() string { return e.Problem.String() }

// Is makes errors.Is(e, ErrInvalid) true.
func (*RefusedError) Is(target error) bool { return target == ErrInvalid }

// RetryError says that a source's host asked to be left alone for a while
// (RFC 9110, Retry-After).
type RetryError struct {
	Err error
	// After is how long, from now.
	After time.Duration
}

func (e *RetryError) Error() string {
	if e.After <= 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; it is left alone for %s, as it asks", e.Err, min(e.After, longestRetry))
}
func (e *RetryError) Unwrap() error { return e.Err }

// longestRetry is how long a host may keep a source from being looked at: one
// that says more has most likely miscounted.
const longestRetry = time.Hour

// retryAfter is how long err asks to leave the source alone; 0 for most.
func retryAfter(err error) time.Duration {
	var told *RetryError
	if !errors.As(err, &told) {
		return 0
	}
	return min(told.After, longestRetry)
}
