package fleet

import (
	"errors"
	"fmt"
)

// The errors that callers act on. An error that crosses a package boundary wraps one of them,
// with the noun in front: `cluster "edge-1": not found`.
var (
	// ErrNotFound reports that a cluster, input set, object or release does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid reports a fault of a fleet repo or of a request.
	ErrInvalid = errors.New("invalid")
	// ErrConflict reports that a request is ambiguous, or contradicts what is there.
	ErrConflict = errors.New("conflict")
	// ErrNotReady reports that nothing can be served yet.
	ErrNotReady = errors.New("not ready")
	// ErrGuarded reports a change that does more than the guard allows and was not confirmed.
	ErrGuarded = errors.New("the change does more than the guard allows")
	// ErrTooLarge reports an answer that is larger than Flux Operator accepts.
	ErrTooLarge = errors.New("too large")
	// ErrStale reports a write whose precondition no longer holds.
	ErrStale = errors.New("changed meanwhile")
	// ErrBusy reports a change that was not finished in time, because of others. Nothing is changed.
	ErrBusy = errors.New("busy")
	// ErrStore reports that the change log cannot be reached or written.
	ErrStore = errors.New("store unavailable")
	// ErrStoreFull is an ErrStore of a store that has no space left.
	ErrStoreFull = fmt.Errorf("%w: no space left", ErrStore)
	// ErrSource reports that the source cannot be reached, or refuses this server's credentials.
	ErrSource = errors.New("source unavailable")
	// ErrReadOnly reports a write to a read-only server.
	ErrReadOnly = errors.New("this server is read-only")
	// ErrUnauthenticated reports a request without a valid credential.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden reports that the credential does not allow the request.
	ErrForbidden = errors.New("forbidden")
	// ErrUnavailable reports that a release cannot be loaded by this server: its snapshot is
	// missing or damaged, or this version of Tributary cannot compile it.
	ErrUnavailable = errors.New("release unavailable")
)
