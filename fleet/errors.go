package fleet

import (
	"errors"
	"fmt"
)

// What callers can act on. Every error that crosses a room's border wraps one
// of these, with the noun in front: `cluster "edge-1": not found`.
var (
	// ErrNotFound is for a cluster, input set, object or release that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid is for a fleet repo or a request that says something it must not.
	ErrInvalid = errors.New("invalid")
	// ErrConflict is for a request that more than one thing answers to, or that
	// something else has come before.
	ErrConflict = errors.New("conflict")
	// ErrNotReady is for a fleet that has no good release yet.
	ErrNotReady = errors.New("not ready")
	// ErrGuarded is for what takes away more than the guard allows, unless it is confirmed.
	ErrGuarded = errors.New("more is taken away than the guard allows")
	// ErrTooLarge is for an answer that would not fit into what the client accepts.
	ErrTooLarge = errors.New("too large")
	// ErrStale is for a write whose precondition does not hold any more.
	ErrStale = errors.New("changed meanwhile")
	// ErrStore is for a change log that cannot be reached or written to.
	ErrStore = errors.New("store unavailable")
	// ErrStoreFull is an ErrStore for one that has no room.
	ErrStoreFull = fmt.Errorf("%w: no room", ErrStore)
	// ErrSource is for a source that cannot be reached, or does not let this server in.
	ErrSource = errors.New("source unavailable")
	// ErrReadOnly is for a write to a server that only follows.
	ErrReadOnly = errors.New("this server is read-only")
	// ErrUnauthenticated is for a request without a valid credential.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden is for a valid credential that does not allow the request.
	ErrForbidden = errors.New("forbidden")
)
