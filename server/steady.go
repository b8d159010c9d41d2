package server

import (
	"net/http"
	"time"
)

// piece is how much of an answer a client must take before it may pause again. Far
// smaller ones wait for each other where a client has little room for them.
const piece = 256 << 10

// steady writes a long answer piece by piece, and gives a client the same time for
// each: one that takes none of it is cut soon, and one on a slow link is not. What
// is no longer than a piece needs none of this, since the server's own time for an
// answer is that of a piece.
type steady struct {
	http.ResponseWriter
	connection *http.ResponseController
	stall      time.Duration // for each piece
	end        time.Time     // of it all
}

// steadily returns w, or where the answer is long one that is steady.
func (s *Server) steadily(w http.ResponseWriter, length int) http.ResponseWriter {
	if length <= piece {
		return w
	}
	return &steady{w, http.NewResponseController(w), s.cfg.Limits.Stall, time.Now().Add(s.cfg.Limits.Write)}
}

// Unwrap is for http.ResponseController.
func (s *steady) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write implements http.ResponseWriter.
func (s *steady) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		end := time.Now().Add(s.stall)
		if end.After(s.end) {
			end = s.end
		}
		_ = s.connection.SetWriteDeadline(end) // where it cannot be set, nobody is held up
		var n int
		n, err = s.ResponseWriter.Write(p[:min(piece, len(p))])
		written, p = written+n, p[n:]
	}
	return written, err
}
