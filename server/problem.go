package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
)

// Problem is the body of every answer that is not a good one (RFC 9457).
type Problem struct {
	// Type is ProblemType and the name of the problem. It is stable: act on it.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says to a person what is wrong and what to do.
	Detail string `json:"detail"`
	// Errors are what is wrong with a document, one by one.
	Errors []ProblemError `json:"errors,omitempty"`
	// Impact is what a write would change that goes beyond the guard, or a decision
	// that is of another impact; Digest is its own, by which it is confirmed.
	Impact *fleet.Impact `json:"impact,omitempty"`
	Digest string        `json:"digest,omitempty"`
	// Violations are what of the guard is gone beyond.
	Violations []fleet.Violation `json:"violations,omitempty"`
}

// ProblemError is one thing that is wrong with a document, and where.
type ProblemError struct {
	Path    string `json:"path"`
	Message string `json:"message"`
}

// ProblemType is what the type of each problem begins with. It is a name and
// no address: openapi.yaml has the list and what each one means.
const ProblemType = "urn:tributary:problem:"

var (
	errBadRequest  = errors.New("bad request")
	errMethod      = errors.New("method not allowed")
	errMisdirected = errors.New("misdirected request")
	errTooLong     = errors.New("request too long")
	errNoRoute     = fmt.Errorf("route %w: / and /openapi.yaml list the ones there are", fleet.ErrNotFound)
)

// problems gives each error its status and type. The server reads it from left
// to right and takes the first that an error wraps, so what says more stands
// above what it may wrap; a client reads it from right to left.
var problems = []struct {
	err         error
	status      int
	name, title string
}{
	{fleet.ErrStoreFull, http.StatusInsufficientStorage, "store-full", "The change log has no room"},
	{fleet.ErrStore, http.StatusServiceUnavailable, "store-unavailable", "The change log cannot be used"},
	{fleet.ErrSource, http.StatusServiceUnavailable, "source-unavailable", "The source cannot be read"},
	{fleet.ErrNotReady, http.StatusServiceUnavailable, "not-ready", "No live release yet"},
	{fleet.ErrReadOnly, http.StatusForbidden, "read-only", "This server is read-only"},
	{errIssuer, http.StatusServiceUnavailable, "issuer-unavailable", "The issuer of tokens cannot be asked"},
	{errBusy, http.StatusServiceUnavailable, "busy", "More than can be answered at one time"},
	{errTooMany, http.StatusTooManyRequests, "too-many-requests", "Too many requests"},
	{fleet.ErrUnauthenticated, http.StatusUnauthorized, "unauthenticated", "No valid credential"},
	{fleet.ErrForbidden, http.StatusForbidden, "forbidden", "Not allowed"},
	{errMisdirected, http.StatusMisdirectedRequest, "misdirected", "Not a request for this server"},
	{errMethod, http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed"},
	{errMediaType, http.StatusUnsupportedMediaType, "media-type", "Unsupported media type"},
	{errTooLong, http.StatusRequestEntityTooLarge, "too-long", "Request too long"},
	{errBadRequest, http.StatusBadRequest, "bad-request", "Bad request"},
	{fleet.ErrNotFound, http.StatusNotFound, "not-found", "Not found"},
	{fleet.ErrGuarded, http.StatusConflict, "guarded", "More is taken away than the guard allows"},
	{fleet.ErrStale, http.StatusPreconditionFailed, "stale", "Changed meanwhile"},
	{fleet.ErrConflict, http.StatusConflict, "conflict", "Conflict"},
	{fleet.ErrTooLarge, http.StatusUnprocessableEntity, "too-large", "Too large for one answer"},
	{fleet.ErrInvalid, http.StatusUnprocessableEntity, "invalid", "Invalid"},
}

// newProblem is what to tell of err. An error that is not in the table is a
// fault of the server, of which nothing is told.
func newProblem(err error) Problem {
	for _, row := range problems {
		if errors.Is(err, row.err) {
			p := Problem{
				Type: ProblemType + row.name, Title: row.title, Status: row.status,
				Detail: err.Error(), Errors: problemErrors(err),
			}
			p.guard(err)
			return p
		}
	}
	return Problem{
		Type: ProblemType + "internal", Title: "Internal error", Status: http.StatusInternalServerError,
		Detail: "the server failed at this: look for the request's X-Request-Id in its log",
	}
}

// guard adds what there is to be confirmed.
func (p *Problem) guard(err error) {
	var guarded *fleet.GuardError
	if !errors.As(err, &guarded) || guarded.Impact == nil {
		return
	}
	p.Impact, p.Violations, p.Digest = guarded.Impact, guarded.Violations, guarded.Impact.Digest
	p.Detail += "; if that is meant, repeat the write with ?confirm=" + p.Digest + ", or the decision with that digest"
}

func problemErrors(err error) []ProblemError {
	var found fleet.Problems
	if !errors.As(err, &found) {
		return nil
	}
	all := make([]ProblemError, len(found))
	for i, p := range found {
		all[i].Message, p.Message = p.Message, ""
		all[i].Path = strings.TrimSuffix(p.String(), ": ") // file:line: field
	}
	return all
}

// problem answers with err and returns the status.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) int {
	p := newProblem(err)
	h := w.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h["Www-Authenticate"] = []string{`Bearer realm="tributary"`, `Basic realm="tributary", charset="UTF-8"`}
	case http.StatusMethodNotAllowed:
		var method *methodError
		if errors.As(err, &method) {
			h.Set("Allow", method.allowed)
		}
	case http.StatusTooManyRequests:
		h.Set("Retry-After", strconv.Itoa(comeBack(err)))
		if errors.Is(err, errTooManyFailures) {
			h.Set("Connection", "close") // a new one costs whoever guesses more than it costs the server
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(comeBack(err))) // Flux comes back by itself
	case http.StatusInternalServerError:
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "request_id", requestID(r.Context()), "err", err)
	}
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // a Problem is strings and one number
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // what is wrong now may be mended the next second
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that went away needs no answer
	return p.Status
}

// methodError is an errMethod that knows what would have been allowed.
type methodError struct{ method, allowed string }

func (e *methodError) Error() string {
	return fmt.Sprintf("%s: %s: use %s", e.method, errMethod, e.allowed)
}

func (e *methodError) Unwrap() error { return errMethod }

// bodyError says why a request's body could not be read to its end.
func bodyError(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return fmt.Errorf("%w: a body may have at most %d bytes here", errTooLong, tooLong.Limit)
	}
	return fmt.Errorf("%w: the body did not arrive whole: %w", errBadRequest, err)
}
