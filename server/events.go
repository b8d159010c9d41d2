package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/auth"
)

const (
	// maxListeners bounds how many clients may listen to events at one time.
	maxListeners = 100
	// maxMissed is how many changes a client may have missed. Of more, it is sent the last.
	maxMissed = 1000
	// eventBatch is how many changes are read at once.
	eventBatch = 100
	// keepAlive is how often something is sent if nothing happens, so that proxies do not
	// take the connection for dead.
	keepAlive = 15 * time.Second
)

// events counts the clients that listen to events.
type events struct {
	mu        sync.Mutex
	listeners int
	ended     chan struct{} // closed once the server stops; made by the first listener
}

var errListeners = fmt.Errorf("%w: too many clients listen to events: try again later", api.ErrTooMany)

// begin counts one more listener. It returns a channel that is closed when the server
// stops.
func (e *events) begin() (ended <-chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners == maxListeners {
		return nil, errListeners
	}
	e.listeners++
	if e.ended == nil {
		e.ended = make(chan struct{})
	}
	return e.ended, nil
}

func (e *events) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners--
}

// end ends every listener, since the server would wait for them.
func (e *events) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended == nil {
		e.ended = make(chan struct{})
	}
	select {
	case <-e.ended:
	default:
		close(e.ended)
	}
}

// getEvents sends each change once polls of this server are answered by it. Every change
// is read from the change log, so none is missed between two events, nor between two
// connections of a client that names the last event it has received.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	ended, err := s.events.begin()
	if err != nil {
		return err
	}
	defer s.events.leave()
	changed := s.fleet.Changed()
	l := listener{s: s, r: r, w: w, connection: http.NewResponseController(w)}
	if l.last, err = s.lastEvent(r); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // or nginx collects them
	if r.Method == http.MethodHead {
		return nil
	}
	_ = l.connection.SetReadDeadline(time.Time{}) // its end would cancel the request
	if l.send(": changes after generation %d\n\n", l.last) == nil {
		l.listen(changed, ended)
	}
	return nil // the answer has begun: a client that is cut off connects again
}

// lastEvent returns the generation that the client knows: that of the last event it has
// received, or the present one.
func (s *Server) lastEvent(r *http.Request) (int64, error) {
	newest, err := s.fleet.History(r.Context(), fleet.ChangeQuery{Limit: 1})
	if err != nil {
		return 0, err
	}
	var now int64
	if len(newest) > 0 {
		now = newest[0].Generation
	}
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		return now, nil
	}
	last, err := strconv.ParseInt(text, 10, 64)
	if err != nil || last < 0 {
		return 0, fmt.Errorf("%w: Last-Event-ID: must be a generation, which is the id of an event", api.ErrBadRequest)
	}
	return min(max(last, now-maxMissed), now), nil
}

// listener is a client that listens to events.
type listener struct {
	s          *Server
	r          *http.Request
	w          http.ResponseWriter
	connection *http.ResponseController
	last       int64 // the generation of the last event that was sent
}

// listen returns when the client is gone, cannot keep up or is no longer allowed to
// listen, and when the server stops.
func (l *listener) listen(changed, ended <-chan struct{}) {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		if who, err := l.s.auth.Authenticate(l.r); err != nil || who.Role < auth.Viewer || l.sendChanges() != nil {
			return
		}
		select {
		case <-changed:
			changed = l.s.fleet.Changed()
		case <-alive.C:
			if l.send(":\n\n") != nil {
				return
			}
		case <-ended:
			return
		case <-l.r.Context().Done():
			return
		}
	}
}

// sendChanges sends the changes that are served and were not sent yet.
func (l *listener) sendChanges() error {
	served := int64(-1)
	if view, err := l.s.fleet.View(); err == nil {
		served = view.Generation()
	}
	for {
		next := l.last + eventBatch + 1
		if served >= 0 {
			next = min(next, served+1)
		}
		found, err := l.s.fleet.History(l.r.Context(), fleet.ChangeQuery{After: l.last, Before: next, Limit: eventBatch})
		if err != nil {
			return err
		}
		slices.Reverse(found)
		for i := range found {
			if err := l.sendChange(&found[i]); err != nil {
				return err
			}
		}
		switch {
		case next <= served:
			l.last = next - 1 // also if the retention of some has ended
		case len(found) < eventBatch:
			return nil
		}
	}
}

func (l *listener) sendChange(c *fleet.Change) error {
	data, err := json.Marshal(api.NewChange(c))
	if err != nil {
		return err
	}
	l.last = c.Generation
	return l.send("id: %d\nevent: %s\ndata: %s\n\n", c.Generation, c.Kind, data)
}

// send fails if the client takes nothing for a while. Only the client's own connection
// waits for it, and there are few of them.
func (l *listener) send(format string, args ...any) error {
	_ = l.connection.SetWriteDeadline(time.Now().Add(l.s.cfg.Limits.Stall))
	if _, err := fmt.Fprintf(l.w, format, args...); err != nil {
		return err
	}
	return l.connection.Flush()
}
