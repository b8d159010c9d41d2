package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server/api"
)

// stream is a client that listens to events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
}

// listen returns once the server has said where the events begin. It does not use the
// harness's client, which reads answers to their end.
func (h *harness) listen(headers ...string) stream {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+"/api/v1/events", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = answer.Body.Close() })
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		h.t.Fatalf("GET /api/v1/events = %d %s", answer.StatusCode, kind)
	}
	s := stream{h.t, bufio.NewScanner(answer.Body)}
	s.lines.Scan()
	return s
}

// next returns the next event: its id, its kind and the change. ok is false at the end.
func (s stream) next() (id, kind string, change api.Change, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), &change); err != nil {
				s.t.Fatalf("data is %q: %v", value, err)
			}
			return id, kind, change, true
		}
	}
	return "", "", change, false
}

func (s stream) want(generations ...int64) {
	s.t.Helper()
	for _, want := range generations {
		id, kind, change, ok := s.next()
		if !ok || id != strconv.FormatInt(want, 10) || change.Generation != want || kind != string(change.Kind) || change.Actor == "" {
			s.t.Fatalf("event %q of kind %q = %+v, %v, want generation %d", id, kind, change, ok, want)
		}
	}
}

func (h *live) tag(tag string) {
	h.t.Helper()
	h.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "`+tag+`"}}`).wantKept(h.t)
}

func TestEventsHaveEachGenerationOnce(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	s := h.listen()
	for _, tag := range []string{"v2", "v3", "v4"} {
		h.tag(tag)
	}
	s.want(2, 3, 4)
	again := h.listen("Last-Event-ID", "2") // a client that was disconnected
	h.tag("v5")
	again.want(3, 4, 5)
	s.want(5)
	h.listen("Last-Event-ID", "0").want(1, 2, 3, 4, 5)
	h.get("/api/v1/events", "Last-Event-ID", "x").problem(t, http.StatusBadRequest, "bad-request")
	h.get("/api/v1/events?since=1", "Last-Event-ID", "x").problem(t, http.StatusBadRequest, "bad-request")
}

// lateStore delays its answer to the second change, which is durable then but not served.
type lateStore struct {
	fleet.Store
	durable, answer chan bool
}

func (s *lateStore) Append(ctx context.Context, c *fleet.Change) error {
	err := s.Store.Append(ctx, c)
	if c.Generation == 2 {
		s.durable <- true
		<-s.answer
	}
	return err
}

// A client that receives an event and then polls must find its generation served.
func TestEventIsSentOnceItsGenerationIsServed(t *testing.T) {
	t.Parallel()
	store := &lateStore{durable: make(chan bool), answer: make(chan bool)}
	h := startLiveWith(t, func(c *controller.Config) { store.Store, c.Store = c.Store, store })
	answer := sync.OnceFunc(func() { close(store.answer) })
	t.Cleanup(answer)
	go h.change("PATCH", oneWeb, mergePatch, `{"spec": {"tag": "v2"}}`)
	<-store.durable
	s := h.listen("Last-Event-ID", "1")
	go func() {
		for range 50 { // so that an event that is sent too early is sent by now
			h.get("/healthz")
		}
		answer()
	}()
	_, _, change, ok := s.next()
	view, err := h.fleet.View()
	if !ok || err != nil || change.Generation != 2 || view.Generation() != 2 {
		t.Errorf("an event of generation %d while %d is served: %v", change.Generation, view.Generation(), err)
	}
}

func TestEventsEndWithTheServer(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	s := h.listen()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, ok := s.next(); ok {
		t.Error("there is another event")
	}
}

// A revoked token ends connections that were opened with it.
func TestEventsEndWithTheToken(t *testing.T) {
	t.Parallel()
	h := startLive(t, withAdminToken(t))
	viewer := h.newToken(`{"name":"screen","role":"viewer"}`)
	s := h.listen(bearer(viewer.Secret)...)
	h.asToken(rootToken, http.MethodDelete, "/api/v1/tokens/screen", "").wantKept(t)
	if _, _, _, ok := s.next(); ok {
		t.Error("it receives a later event")
	}
}

func TestListenersAreBounded(t *testing.T) {
	t.Parallel()
	h := startLive(t)
	for range 100 {
		h.listen()
	}
	h.get("/api/v1/events", "Last-Event-ID", "x").problem(t, http.StatusTooManyRequests, "too-many-requests")
}
