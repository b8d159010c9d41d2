package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/server"
)

// stuck sends n polls whose answers do not fit into the buffers, and reads nothing of them.
func (h *harness) stuck(n int) []net.Conn {
	h.t.Helper()
	var all []net.Conn
	for range n {
		conn := h.dial()
		must(h.t, conn.SetDeadline(time.Time{}))
		_, err := io.WriteString(conn, "GET "+kedaPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		must(h.t, err)
		all = append(all, conn)
	}
	eventually(h.t, func() bool { return h.metric("tributary_polls_in_flight") == fmt.Sprint(n) })
	return all
}

const devPath = "/api/v1/flux/clusters/eu-dev-01/platform-components"

func TestSlowReadersLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	const places = 3
	h := start(t, func(c *server.Config) { c.Limits.Polls, c.Limits.Stall = places, time.Hour })
	h.release("main@sha1:1", tooBigToBuffer())
	h.stuck(places)
	eventually(t, func() bool { return h.get(devPath).status == http.StatusOK }) // once the others count as slow
	for range 20 {
		if got := h.get(devPath); got.status != http.StatusOK {
			t.Errorf("= %d %s, want 200", got.status, got.body)
		}
	}
	if still := h.metric("tributary_polls_in_flight"); still != fmt.Sprint(places) {
		t.Errorf("%s polls are in flight, want the %d slow ones", still, places)
	}
}

func TestReadersThatStallAreCutOff(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) { c.Limits.Stall = 100 * time.Millisecond })
	h.release("main@sha1:1", tooBigToBuffer())
	conns := h.stuckUntilCut()
	rest, err := io.ReadAll(conns)
	if err == nil && strings.HasSuffix(string(rest), "]}") {
		t.Error("it was answered to the end")
	}
}

// stuckUntilCut returns once the server has cut off a client that reads nothing.
func (h *harness) stuckUntilCut() net.Conn {
	h.t.Helper()
	conn := h.dial()
	_, err := io.WriteString(conn, "GET "+kedaPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(h.t, err)
	_, err = bufio.NewReaderSize(conn, 16).ReadByte() // the answer has begun
	must(h.t, err)
	eventually(h.t, func() bool { return h.metric("tributary_polls_in_flight") == "0" })
	return conn
}

func TestListenersThatStallAreCutOff(t *testing.T) {
	t.Parallel()
	h := startLive(t, func(c *server.Config) { c.Limits.Stall = 100 * time.Millisecond })
	conn := h.dial()
	_, err := io.WriteString(conn, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	eventually(t, func() bool { return h.metric("tributary_requests_in_flight") == "1" })
	for n := 0; h.metric("tributary_requests_in_flight") == "1"; n++ {
		if n == 100 {
			t.Fatal("it still listens, though it reads nothing")
		}
		text, err := json.Marshal(fmt.Sprint(n, strings.Repeat("x", 600<<10)))
		must(t, err)
		// Not by the harness, which would check the long answer.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, h.url+oneWeb, strings.NewReader(`{"spec": {"padding": `+string(text)+`}}`))
		must(t, err)
		r.Header.Set("Content-Type", mergePatch)
		answer, err := http.DefaultClient.Do(r)
		must(t, err)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("the write = %d, want 200", answer.StatusCode)
		}
	}
}

// Clients that open connections and send nothing must not keep out others, or probes.
func TestSilentConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) { c.Limits.Connections = 4 })
	h.release("main@sha1:1", acme("main@sha1:1"))
	h.client.CloseIdleConnections()
	for n := range 30 {
		if conn := h.dial(); n%2 == 0 { // half of them begin a request
			_, _ = io.WriteString(conn, "GET "+kedaPath+" HTTP/1.1\r\nHo")
		}
	}
	once := func(path string) reply {
		defer h.client.CloseIdleConnections()
		r, err := h.client.Get(h.url + path)
		if err != nil {
			return reply{}
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return reply{r.StatusCode, r.Header, body}
	}
	eventually(t, func() bool { return once("/healthz").status == http.StatusOK })
	var shed reply
	// A poll that takes the place of an answered probe is answered, too.
	eventually(t, func() bool { shed = once(kedaPath); return shed.status == http.StatusServiceUnavailable })
	shed.problem(t, http.StatusServiceUnavailable, "busy")
	if shed.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

func TestIdleConnectionsGiveWay(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) { c.Limits.Connections = 4 })
	h.release("main@sha1:1", acme("main@sha1:1"))
	for n := range 20 {
		conn := h.dial() // which stays open
		_, err := io.WriteString(conn, "GET "+kedaPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		must(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		must(t, err)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("poll %d, over a new connection = %d, want 200", n, answer.StatusCode)
		}
	}
	if open := h.server.Connections(); open > 4 {
		t.Errorf("%d connections are open, want 4 at most", open)
	}
}
