package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// watched is a listener whose connections tell of what is written to them.
type watched struct {
	net.Listener
	write func(conn net.Conn, p []byte) (int, error)
}

type watchedConn struct {
	net.Conn
	of *watched
}

func (l *watched) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &watchedConn{conn, l}, err
}

func (c *watchedConn) Write(p []byte) (int, error) { return c.of.write(c.Conn, p) }

// watch has the server answer on one more address, where write writes.
func (h *harness) watch(write func(net.Conn, []byte) (int, error)) net.Conn {
	h.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(h.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(ctx, &watched{ln, write}) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	must(h.t, err)
	h.t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		<-served
	})
	return conn
}

// wide is a fleet with an answer of some n bytes.
func wide(n int) repo {
	content := acme("")
	content.Members[1].Inputs["platform-components"] = []map[string]any{{"id": "keda", "text": noise(n)}}
	return content
}

// net/http would send each in two pieces, for which the kernel is called and the client wakes twice.
func TestAnswersAreSentInOnePiece(t *testing.T) {
	for _, size := range []int{3 << 10, 6 << 10, 13 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { sentInOnePiece(t, size) })
	}
}

func sentInOnePiece(t *testing.T, size int) {
	h := start(t)
	h.release("main@sha1:1", wide(size))
	var writes atomic.Int32
	conn := h.watch(func(conn net.Conn, p []byte) (int, error) {
		writes.Add(1)
		return conn.Write(p)
	})
	answers := bufio.NewReader(conn)
	for _, encoding := range []string{"identity", "gzip"} {
		want := h.get(kedaPath, "Accept-Encoding", encoding)
		for range 2 { // over one connection
			writes.Store(0)
			_, err := io.WriteString(conn, "GET "+kedaPath+" HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: "+encoding+"\r\n\r\n")
			must(t, err)
			got, err := http.ReadResponse(answers, nil)
			must(t, err)
			body, err := io.ReadAll(got.Body)
			must(t, err)
			if len(body) < size/2 || string(body) != string(want.body) || got.Header.Get("Etag") != want.header.Get("Etag") {
				t.Errorf("%s: %d bytes, %v, want %d bytes, %v", encoding, len(body), got.Header, len(want.body), want.header)
			}
			if n := writes.Load(); n != 1 {
				t.Errorf("%s: %d bytes were sent in %d pieces, want 1", encoding, len(body), n)
			}
		}
	}
}

// Streams of HTTP/2 share a connection: what one of them holds would take what others write.
func TestAnswersOfOneConnectionStayApart(t *testing.T) {
	h := overHTTP2(t)
	h.release("main@sha1:1", wide(13<<10))
	want := h.get(kedaPath)
	var polls sync.WaitGroup
	for range 20 {
		polls.Go(func() {
			for range 20 {
				if got := h.get(kedaPath); got.status != http.StatusOK || !bytes.Equal(got.body, want.body) {
					t.Errorf("= %d with %d bytes, want the %d of the first", got.status, len(got.body), len(want.body))
				}
			}
		})
	}
	polls.Wait()
}

// Who got half an answer would take the next one for the rest of it.
func TestNothingFollowsHalfAnAnswer(t *testing.T) {
	h := start(t)
	h.release("main@sha1:1", wide(13<<10))
	conn := h.watch(func(conn net.Conn, p []byte) (int, error) {
		n, _ := conn.Write(p[:len(p)/2])
		return n, errors.New("no more of it")
	})
	_, err := io.WriteString(conn, strings.Repeat("GET "+kedaPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n", 2))
	must(t, err)
	got, err := io.ReadAll(conn)
	if n := strings.Count(string(got), "HTTP/1.1 200 OK"); n != 1 || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%d answers, %v, want the half of one, and the end", n, err)
	}
}
