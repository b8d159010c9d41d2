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
)

const (
	// mostListeners bounds who may wait for events at one time.
	mostListeners = 100
	// mostResumed is how many changes somebody may have missed; of more the last are told.
	mostResumed = 1000
	// eventBatch is how many changes are read at once.
	eventBatch = 100
	// keepAlive is how often those are told something to whom nothing happens, so that
	// what stands between does not take the connection for dead.
	keepAlive = 15 * time.Second
)

// events knows who listens.
type events struct {
	mu        sync.Mutex
	listeners int
	ended     chan struct{} // closed once the server stops; made by the first who listens
}

var errListeners = fmt.Errorf("%w: as many listen to events as may at one time; ask again", api.ErrTooMany)

// begin counts one who listens. What is returned is closed when the server stops.
func (e *events) begin() (ended <-chan struct{}, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listeners == mostListeners {
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

// end has all who listen be told no more, since the server would wait for them.
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

// getEvents tells each change once polls of this server are answered by it. All is
// read from the change log, so that nothing is missed between two events, nor, by
// who says what he heard last, between two connections.
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
	if l.last, err = s.heard(r); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would keep them until there are enough
	if r.Method == http.MethodHead {
		return nil
	}
	_ = l.connection.SetReadDeadline(time.Time{}) // the end of it would end the request
	if l.send(": changes after generation %d\n\n", l.last) == nil {
		l.listen(changed, ended)
	}
	return nil // the answer has begun: who is not reached any more asks anew
}

// heard is the generation that the client knows of: what it heard last, or the
// present one.
func (s *Server) heard(r *http.Request) (int64, error) {
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
		return 0, fmt.Errorf("%w: Last-Event-ID: must be a generation, as events have it for their id", api.ErrBadRequest)
	}
	return min(max(last, now-mostResumed), now), nil
}

// listener is who is told of changes.
type listener struct {
	s          *Server
	r          *http.Request
	w          http.ResponseWriter
	connection *http.ResponseController
	last       int64 // the generation that it was told of
}

// listen returns where the client has gone, cannot keep up, must ask anew, or may not
// any more.
func (l *listener) listen(changed, ended <-chan struct{}) {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		if who, err := l.s.authenticate(l.r, false); err != nil || who.role < roleViewer || l.tell() != nil {
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

// tell sends the changes that the client has not heard of and that are served.
func (l *listener) tell() error {
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
			if err := l.event(&found[i]); err != nil {
				return err
			}
		}
		switch {
		case next <= served:
			l.last = next - 1 // also where the log has dropped some of them
		case len(found) < eventBatch:
			return nil
		}
	}
}

func (l *listener) event(c *fleet.Change) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	l.last = c.Generation
	return l.send("id: %d\nevent: %s\ndata: %s\n\n", c.Generation, c.Kind, data)
}

// send gives up where the client takes none of it for a while. Nobody waits for it but
// its own connection, of which there are few.
func (l *listener) send(format string, args ...any) error {
	_ = l.connection.SetWriteDeadline(time.Now().Add(l.s.cfg.Limits.Stall))
	if _, err := fmt.Fprintf(l.w, format, args...); err != nil {
		return err
	}
	return l.connection.Flush()
}
