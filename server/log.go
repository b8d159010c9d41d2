package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/server/auth"
)

// exchange is a request that is being answered. It records what the log and the metrics
// need.
type exchange struct {
	http.ResponseWriter
	head   bool // the answer has no body, though handlers may write one
	status int  // 0 until the answer has begun
	bytes  int
	route  route         // zero if no route was found
	who    auth.Identity // zero if the sender is not known
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	if x.head {
		return len(p), nil // HTTP/2 would fail the write of a long body
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// serveLogged answers everything but polls.
func (s *Server) serveLogged(w http.ResponseWriter, r *http.Request) {
	start, id := time.Now(), newRequestID(r)
	x := &exchange{ResponseWriter: w, head: r.Method == http.MethodHead}
	x.Header().Set("X-Request-Id", id)
	_ = http.NewResponseController(w).SetWriteDeadline(start.Add(s.cfg.Limits.Write)) // fails only without a connection
	r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
	defer func() {
		cause := recover()
		if cause != nil {
			s.recovered(x, r, cause)
		}
		s.served(x, r, time.Since(start))
		if cause != nil && x.status < http.StatusInternalServerError {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	}()
	s.router.ServeHTTP(x, r)
}

// recovered logs a panic and, if the answer has not begun, answers with a problem.
func (s *Server) recovered(x *exchange, r *http.Request, cause any) {
	s.log.Error("panic", "path", loggable(r.URL.Path), "request_id", requestID(r.Context()), "cause", cause, "stack", string(debug.Stack()))
	if x.status == 0 {
		s.problem(x, r, errors.New("panic"))
	}
}

// served logs and counts a request. The query is not logged, because some people put
// tokens there.
func (s *Server) served(x *exchange, r *http.Request, took time.Duration) {
	s.metrics.served(x.route, x.status, took)
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		remote = r.RemoteAddr
	}
	level := slog.LevelInfo
	if !strings.HasPrefix(r.URL.Path, "/api/") && x.status < http.StatusBadRequest {
		level = slog.LevelDebug // probes and scrapes, every few seconds
	}
	s.log.Log(r.Context(), level, "request", "method", r.Method, "path", loggable(r.URL.Path), "status", x.status, "bytes", x.bytes,
		"duration", took, "remote", remote, "identity", x.who.Name, "request_id", requestID(r.Context()))
}

var secretToken = regexp.MustCompile(`trb_[A-Za-z0-9]+`)

// loggable returns a path without the tokens in it: a client that revokes a token may
// have passed the token itself as its name.
func loggable(path string) string { return secretToken.ReplaceAllString(path, "trb_…") }

type requestIDKey struct{}

// requestID returns the id of the request that ctx belongs to, or "" for polls.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

var wellFormedID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// newRequestID keeps the id that a proxy has given, so that its log and this one can be
// read together.
func newRequestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); wellFormedID.MatchString(id) && !secretToken.MatchString(id) {
		return id
	}
	return rand.Text()
}
