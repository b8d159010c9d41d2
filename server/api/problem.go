package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// Problem is the body of every answer that reports an error (RFC 9457).
type Problem struct {
	// Type is ProblemType followed by the problem's name. It never changes, so
	// programs act on it rather than on the text.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail tells a person what is wrong and what to do.
	Detail string `json:"detail"`
	// Errors are the mistakes in a document, one by one.
	Errors []ProblemError `json:"errors,omitempty"`
	// Impact is what a write or a decision would change, where it exceeds the guard
	// or is not the impact that was confirmed. Digest confirms it.
	Impact *fleet.Impact `json:"impact,omitempty"`
	Digest string        `json:"digest,omitempty"`
	// Violations are the limits of the guard that the impact exceeds.
	Violations []fleet.Violation `json:"violations,omitempty"`
}

// ProblemError is one mistake in a document.
type ProblemError struct {
	// Path is the place, as file:line: field, with the first clusters that it concerns; empty where it
	// is not known.
	Path    string `json:"path"`
	Message string `json:"message"`
	// Clusters are all that the mistake concerns, where there are several.
	Clusters []string `json:"clusters,omitempty"`
}

// ProblemType is the prefix of every problem's type. It is a name and not an
// address; openapi.yaml lists the types.
const ProblemType = "urn:tributary:problem:"

// The errors that only a server with an HTTP API can meet. The others are in fleet.
var (
	ErrBadRequest       = errors.New("bad request")
	ErrBusy             = fleet.ErrBusy
	ErrIssuer           = errors.New("issuer unavailable")
	ErrMediaType        = errors.New("unsupported media type")
	ErrMethodNotAllowed = errors.New("method not allowed")
	ErrMisdirected      = errors.New("misdirected request")
	ErrTooLong          = errors.New("request too long")
	ErrTooMany          = errors.New("too many requests")
)

// problems maps each error to its status and type. NewProblem takes the first row
// that an error wraps, so a row stands above those that its error may wrap as well.
// Problem.Err reads the table backwards.
var problems = []struct {
	err         error
	status      int
	name, title string
}{
	{fleet.ErrStoreFull, http.StatusInsufficientStorage, "store-full", "The change log has no room"},
	{fleet.ErrStore, http.StatusServiceUnavailable, "store-unavailable", "The change log cannot be used"},
	{fleet.ErrSource, http.StatusServiceUnavailable, "source-unavailable", "The source cannot be read"},
	{fleet.ErrNotReady, http.StatusServiceUnavailable, "not-ready", "No live release yet"},
	{fleet.ErrUnavailable, http.StatusServiceUnavailable, "not-ready", "No live release yet"},
	{fleet.ErrReadOnly, http.StatusForbidden, "read-only", "This server is read-only"},
	{ErrIssuer, http.StatusServiceUnavailable, "issuer-unavailable", "The issuer of tokens does not answer"},
	{ErrBusy, http.StatusServiceUnavailable, "busy", "The server is busy"},
	{ErrTooMany, http.StatusTooManyRequests, "too-many-requests", "Too many requests"},
	{fleet.ErrUnauthenticated, http.StatusUnauthorized, "unauthenticated", "No valid credential"},
	{fleet.ErrForbidden, http.StatusForbidden, "forbidden", "Not allowed"},
	{ErrMisdirected, http.StatusMisdirectedRequest, "misdirected", "Not a request for this server"},
	{ErrMethodNotAllowed, http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed"},
	{ErrMediaType, http.StatusUnsupportedMediaType, "media-type", "Unsupported media type"},
	{ErrTooLong, http.StatusRequestEntityTooLarge, "too-long", "Request too long"},
	{ErrBadRequest, http.StatusBadRequest, "bad-request", "Bad request"},
	{fleet.ErrNotFound, http.StatusNotFound, "not-found", "Not found"},
	{fleet.ErrGuarded, http.StatusConflict, "guarded", "The change exceeds the guard"},
	{fleet.ErrStale, http.StatusPreconditionFailed, "stale", "Changed in the meantime"},
	{fleet.ErrConflict, http.StatusConflict, "conflict", "Conflict"},
	{fleet.ErrTooLarge, http.StatusUnprocessableEntity, "too-large", "Too large for one answer"},
	{fleet.ErrInvalid, http.StatusUnprocessableEntity, "invalid", "Invalid"},
}

// internal is the problem of an error that is not in the table. It is a fault of the
// server, and the answer says nothing about it.
var internal = Problem{
	Type: ProblemType + "internal", Title: "Internal error", Status: http.StatusInternalServerError,
	Detail: "the server failed to answer: look for the request's X-Request-Id in its log",
}

// NewProblem returns the problem that reports err.
func NewProblem(err error) Problem {
	for _, row := range problems {
		if errors.Is(err, row.err) {
			p := Problem{
				Type: ProblemType + row.name, Title: row.title, Status: row.status,
				Detail: err.Error(), Errors: problemErrors(err),
			}
			p.addImpact(err)
			return p
		}
	}
	return internal
}

// addImpact adds what there is to confirm.
func (p *Problem) addImpact(err error) {
	var guarded *fleet.GuardError
	if !errors.As(err, &guarded) || guarded.Impact == nil {
		return
	}
	p.Impact, p.Violations, p.Digest = guarded.Impact, guarded.Violations, guarded.Impact.Digest
	p.Detail += "; to confirm it, repeat the write with ?confirm=" + p.Digest + ", or the decision with that digest"
}

func problemErrors(err error) []ProblemError {
	var found fleet.Problems
	if !errors.As(err, &found) {
		return nil
	}
	groups := found.Group()
	all := make([]ProblemError, len(groups))
	for i, g := range groups {
		all[i].Message, g.Message = g.Message, ""
		all[i].Path = strings.TrimSuffix(g.String(), ": ") // file:line: clusters: field
		if len(g.Clusters) > 1 {
			all[i].Clusters = g.Clusters
		}
	}
	return all
}

// Err returns the error that the problem was made of: a *fleet.GuardError where it
// has an impact, else the row of the table. It is nil for a type that is not known.
func (p *Problem) Err() error {
	if p.Impact != nil {
		return &fleet.GuardError{Impact: p.Impact, Violations: p.Violations}
	}
	name := strings.TrimPrefix(p.Type, ProblemType)
	for _, row := range problems {
		if row.name == name {
			return row.err
		}
	}
	return nil
}

// ProblemTypes returns every type that a problem can have, sorted.
func ProblemTypes() []string {
	types := []string{internal.Type}
	for _, row := range problems {
		types = append(types, ProblemType+row.name)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// BodyError returns the error for a request's body that could not be read to its end.
func BodyError(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return fmt.Errorf("%w: the body may have at most %d bytes here", ErrTooLong, tooLong.Limit)
	}
	return fmt.Errorf("%w: the body did not arrive completely: %w", ErrBadRequest, err)
}
