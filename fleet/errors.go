package fleet

import "errors"

// What callers can act on. Every error that crosses a room's border wraps one
// of these, with the noun in front: `cluster "edge-1": not found`.
var (
	// ErrNotFound is for a cluster, input set, object or release that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid is for a fleet repo or a request that says something it must not.
	ErrInvalid = errors.New("invalid")
	// ErrConflict is for a request that more than one thing answers to.
	ErrConflict = errors.New("conflict")
	// ErrNotReady is for a fleet that has no good release yet.
	ErrNotReady = errors.New("not ready")
	// ErrTooLarge is for an answer that would not fit into what the client accepts.
	ErrTooLarge = errors.New("too large")
	// ErrUnauthenticated is for a request without a valid credential.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden is for a valid credential that does not allow the request.
	ErrForbidden = errors.New("forbidden")
)
