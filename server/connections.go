package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections is a listener that bounds how many are open. It never lets any wait in
// a queue, because probes come through it too: beyond the bound it closes one that is
// idle, or else takes the new one to have its polls shed; and where many of those are
// open as well, it closes one that waits for nothing that the server does, which is
// whoever connects and then says nothing. The lock is taken once for each connection
// and never for a request.
type connections struct {
	net.Listener
	most   int
	closed func(reason string) // told of each that was closed for others

	mu   sync.Mutex
	open map[*connection]struct{}
}

// connection is one that a client has opened.
type connection struct {
	net.Conn
	of        *connections
	since     time.Time
	over      bool         // beyond the bound
	answering atomic.Int32 // requests
	answered  atomic.Bool  // at least one
}

// Why a connection is closed for others, for the metrics.
const (
	closedIdle    = "idle"
	closedSilent  = "silent"
	closedRefused = "refused"
)

var closedReasons = []string{closedIdle, closedSilent, closedRefused}

const (
	// sampled is how many connections are looked at to find one to close. A map is
	// gone through from a random place on.
	sampled = 64
	// leastWait is how long one has been open at least before it is taken for one that
	// says nothing.
	leastWait = time.Second
)

func newConnections(ln net.Listener, most int, closed func(string)) *connections {
	return &connections{Listener: ln, most: most, closed: closed, open: map[*connection]struct{}{}}
}

// hard is how many are open at the very most.
func (l *connections) hard() int { return l.most + max(8, l.most/8) }

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.admit(conn); c != nil {
			return c, nil
		}
	}
}

// admit returns nil for one that was closed at once.
func (l *connections) admit(conn net.Conn) *connection {
	c := &connection{Conn: conn, of: l, since: time.Now()}
	reason, victim := l.enter(c)
	if reason != "" {
		l.closed(reason)
		_ = victim.Close()
	}
	if victim == conn {
		return nil
	}
	return c
}

// enter counts c, and returns what must be closed for it, which may be its own.
func (l *connections) enter(c *connection) (reason string, victim net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most {
		if idle := l.find((*connection).idle); idle != nil {
			reason, victim = closedIdle, idle.Conn
		} else {
			c.over = true
		}
	}
	if c.over && len(l.open) >= l.hard() {
		silent := l.find((*connection).silent)
		if silent == nil {
			return closedRefused, c.Conn
		}
		reason, victim = closedSilent, silent.Conn
	}
	l.open[c] = struct{}{}
	return reason, victim
}

// find takes out one that is so, nil if there is none among those it looks at.
func (l *connections) find(is func(*connection) bool) *connection {
	left := sampled
	for c := range l.open {
		if is(c) {
			delete(l.open, c)
			return c
		}
		if left--; left == 0 {
			return nil
		}
	}
	return nil
}

func (c *connection) idle() bool { return c.answering.Load() == 0 && c.answered.Load() }

func (c *connection) silent() bool {
	return c.answering.Load() == 0 && time.Since(c.since) > leastWait
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (l *connections) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

type connectionKey struct{}

// withConnection is a http.Server's ConnContext.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// begin notes that a request of c is being answered; c may be nil.
func (c *connection) begin() {
	if c != nil {
		c.answering.Add(1)
	}
}

func (c *connection) end() {
	if c != nil {
		c.answered.Store(true)
		c.answering.Add(-1)
	}
}

// connectionOf is nil for a request that did not come through Serve.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}
