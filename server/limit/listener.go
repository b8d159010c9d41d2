package limit

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Listener bounds how many connections are open. No connection waits in the listen
// queue, because probes come through it too. At the bound it closes an idle connection
// for a new one, or else takes the new one and marks it as excess, so that its polls are
// shed. Where many excess connections are open as well, it closes one that has sent
// nothing yet.
//
// The lock is taken once for each connection and never for a request.
type Listener struct {
	net.Listener
	max    int
	closed func(reason string) // called for each connection that is closed for another

	mu   sync.Mutex
	open map[*Conn]struct{} // guarded by mu
}

// Conn is an open connection of a Listener. The methods of a nil Conn do nothing.
type Conn struct {
	net.Conn
	listener  *Listener
	since     time.Time
	excess    bool         // beyond the bound
	answering atomic.Int32 // requests
	answered  atomic.Bool  // at least one request
}

// The reasons for which a Listener closes a connection, as metrics count them.
const (
	ClosedIdle    = "idle"    // it had answered requests, and waited for the next one
	ClosedSilent  = "silent"  // it had sent nothing
	ClosedRefused = "refused" // it is the new one itself
)

const (
	// sampleSize is how many connections are looked at to find one to close. Go
	// iterates over a map from a random place on.
	sampleSize = 64
	// silentAfter is how long a connection has been open before it counts as one that
	// sends nothing.
	silentAfter = time.Second
)

// Listen returns a listener that takes max connections from ln, and a few more whose
// polls are shed. It calls closed with the reason of each connection that it closes.
func Listen(ln net.Listener, max int, closed func(reason string)) *Listener {
	return &Listener{Listener: ln, max: max, closed: closed, open: map[*Conn]struct{}{}}
}

// hardMax is how many connections are open at the very most.
func (l *Listener) hardMax() int { return l.max + max(8, l.max/8) }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
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

// admit returns nil for a connection that it has closed.
func (l *Listener) admit(conn net.Conn) *Conn {
	c := &Conn{Conn: conn, listener: l, since: time.Now()}
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

// enter counts c, and returns the connection to close for it, which may be c's own.
func (l *Listener) enter(c *Conn) (reason string, victim net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.max {
		if idle := l.takeOut((*Conn).idle); idle != nil {
			reason, victim = ClosedIdle, idle.Conn
		} else {
			c.excess = true
		}
	}
	if c.excess && len(l.open) >= l.hardMax() {
		silent := l.takeOut((*Conn).silent)
		if silent == nil {
			return ClosedRefused, c.Conn
		}
		reason, victim = ClosedSilent, silent.Conn
	}
	l.open[c] = struct{}{}
	return reason, victim
}

// takeOut removes a connection that meets a condition, or returns nil if a sample has
// none. The caller holds mu.
func (l *Listener) takeOut(condition func(*Conn) bool) *Conn {
	left := sampleSize
	for c := range l.open {
		if condition(c) {
			delete(l.open, c)
			return c
		}
		if left--; left == 0 {
			return nil
		}
	}
	return nil
}

// Open returns how many connections are open.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

func (c *Conn) idle() bool { return c.answering.Load() == 0 && c.answered.Load() }

func (c *Conn) silent() bool {
	return c.answering.Load() == 0 && time.Since(c.since) > silentAfter
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Begin counts a request that is being answered; End ends it.
func (c *Conn) Begin() {
	if c != nil {
		c.answering.Add(1)
	}
}

// End ends what Begin began.
func (c *Conn) End() {
	if c != nil {
		c.answered.Store(true)
		c.answering.Add(-1)
	}
}

// Excess reports whether the connection is beyond the bound.
func (c *Conn) Excess() bool { return c != nil && c.excess }

type connKey struct{}

// ConnContext is the ConnContext of an http.Server that serves a Listener. ConnOf then
// returns the connection of a request.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// ConnOf returns the connection of a request, or nil if it came through no Listener.
func ConnOf(r *http.Request) *Conn {
	c, _ := r.Context().Value(connKey{}).(*Conn)
	return c
}
