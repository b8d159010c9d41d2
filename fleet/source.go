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
	// Commit is what the source says about the revision; nil where it says nothing.
	Commit *Commit
}

// Content identifies the bytes of a file in a tree. Two files, of one tree or of two, whose
// fs.FileInfo return equal Contents as their Sys hold the same bytes.
type Content struct {
	first *byte // keeps the memory from being used for something else
	size  int
}

// ContentOf identifies bytes that are never modified.
func ContentOf(data []byte) Content {
	if len(data) == 0 {
		return Content{}
	}
	return Content{&data[0], len(data)}
}

// Source is where the fleet repo comes from. Package sources has implementations.
type Source interface {
	// String names the source for logs and status, without credentials.
	String() string
	// Fetch returns the present snapshot. Where its revision is the known one, the snapshot is
	// nil, and nothing is read beyond what it takes to see that. A revision that is there but
	// cannot be made into a snapshot is a *RefusedError.
	Fetch(ctx context.Context, known string) (*Snapshot, error)
	// Watch calls moved whenever the source notices that Fetch would find something new, until
	// ctx ends. A source that cannot notice returns nil at once.
	Watch(ctx context.Context, moved func()) error
}

// RefFetcher is a Source that can fetch another ref than the one it follows.
type RefFetcher interface {
	// At returns the snapshot at a ref: a branch, tag or commit of a Git repository, a tag or
	// digest of an artifact. It is an ErrNotFound where there is no such ref, and a
	// *RefusedError where it cannot be made into a snapshot.
	At(ctx context.Context, ref string) (*Snapshot, error)
}

// RefusedError reports a fault of a revision that the source holds: of the tree itself, as
// opposed to the way to it. It is an ErrInvalid.
type RefusedError struct {
	// Revision is that of the tree. A directory that cannot be read whole has just `local`.
	Revision string
	Problem  Problem
}

func (e *RefusedError) Error() string { return e.Problem.String() }

// Is makes errors.Is(e, ErrInvalid) true.
func (*RefusedError) Is(target error) bool { return target == ErrInvalid }

// RetryError reports that the source's host asked for a pause before the next request
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
	return fmt.Sprintf("%v; waiting %s, as its host asks", e.Err, min(e.After, maxRetryAfter))
}

// Unwrap returns what went wrong.
func (e *RetryError) Unwrap() error { return e.Err }

// maxRetryAfter limits the pause: a host that asks for more has most likely miscounted.
const maxRetryAfter = time.Hour

// RetryAfter returns the pause that an error asks for; 0 for most errors.
func RetryAfter(err error) time.Duration {
	var retry *RetryError
	if !errors.As(err, &retry) {
		return 0
	}
	return min(retry.After, maxRetryAfter)
}
