package limit

import (
	"net/http"
	"time"
)

// pieceSize is how much of an answer a client must take before it may pause again. With
// much smaller pieces, a client that has little room for them makes the server wait for
// each.
const pieceSize = 256 << 10

// stallWriter writes a long answer piece by piece and gives a client the same time for
// each. A client that takes nothing is cut off soon, and one on a slow link is not.
type stallWriter struct {
	http.ResponseWriter
	connection *http.ResponseController
	stall      time.Duration // for each piece
	end        time.Time     // of the whole answer
}

// StallWriter returns a writer for an answer of a length that gives a client the time
// stall to take each piece of 256 KiB, and total for all of them. It returns w for an
// answer of one piece, since the server's own write timeout is that of a piece.
func StallWriter(w http.ResponseWriter, length int, stall, total time.Duration) http.ResponseWriter {
	if length <= pieceSize {
		return w
	}
	return &stallWriter{w, http.NewResponseController(w), stall, time.Now().Add(total)}
}

// Unwrap is for http.ResponseController.
func (s *stallWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write implements http.ResponseWriter.
func (s *stallWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		end := time.Now().Add(s.stall)
		if end.After(s.end) {
			end = s.end
		}
		_ = s.connection.SetWriteDeadline(end) // a writer without a connection keeps nobody waiting
		var n int
		n, err = s.ResponseWriter.Write(p[:min(pieceSize, len(p))])
		written, p = written+n, p[n:]
	}
	return written, err
}
