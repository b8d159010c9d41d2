package server

import (
	"net/http"
	"sync"
)

// net/http sends an answer of more than 4 KB in two writes at least, which is two calls of
// the kernel and two packets that wake the client. Nearly all that a poll costs is there. So
// over plain HTTP/1.1 the writes of one answer are held, and sent as one.

// leastWhole and mostWhole are how long an answer is for that, in bytes: a shorter one is one
// write anyhow, and of a longer one each client that reads slowly would have a copy kept.
const (
	leastWhole = 2 << 10
	mostWhole  = 16 << 10
)

var wholes = sync.Pool{New: func() any { b := make([]byte, 0, mostWhole+4<<10); return &b }}

// sendWhole writes what is all of an answer, whose Content-Length is set.
func sendWhole(w http.ResponseWriter, r *http.Request, payload []byte) {
	c := connectionOf(r)
	// TLS has records to write, also while it reads, and streams of HTTP/2, which there is
	// with TLS alone, share a connection.
	if c == nil || r.TLS != nil || len(payload) < leastWhole || len(payload) > mostWhole {
		_, _ = w.Write(payload) // a client that went away needs no answer
		return
	}
	c.hold()
	defer c.release()
	_, _ = w.Write(payload)
	_ = http.NewResponseController(w).Flush() // where that cannot be, net/http sends the rest when the handler returns
}

// hold has what is written wait for release. Only who answers a request may call it.
func (c *connection) hold() { c.held = wholes.Get().(*[]byte) }

// release sends what was held. Where not all of it can be sent nothing more must be, since
// the client would take it for the rest. net/http is not told; it finds the connection closed.
func (c *connection) release() {
	b := c.held
	c.held = nil
	if _, err := c.Conn.Write(*b); err != nil {
		_ = c.Close()
	}
	*b = (*b)[:0]
	wholes.Put(b)
}

// Write implements net.Conn.
func (c *connection) Write(p []byte) (int, error) {
	if c.held == nil {
		return c.Conn.Write(p)
	}
	*c.held = append(*c.held, p...)
	return len(p), nil
}
