package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server"
)

// BenchmarkPoll asks how much of net/http's own speed a poll has: the rate of
// keep-alive polls of a 13 KB answer, with a token, as a ratio to that of a bare
// net/http server whose handler writes the same headers and bytes. The two are
// asked in turns, over real connections, by a client that does next to nothing,
// so that whatever else the machine does meets both alike.
func BenchmarkPoll(b *testing.B) {
	polled := newPoller(b, benchServer(b))
	constant := newPoller(b, constantOf(polled.first))
	if polled.size != constant.size {
		b.Fatalf("answers of %d and %d bytes cannot be compared", polled.size, constant.size)
	}
	const turn = 10
	polled.polls(b, 100*turn) // both get warm
	constant.polls(b, 100*turn)
	var ours, theirs []float64
	for b.Loop() {
		theirs = append(theirs, constant.polls(b, turn))
		ours = append(ours, polled.polls(b, turn))
	}
	b.ReportMetric(0, "ns/op") // an op is a turn of each, which means nothing to anyone
	b.ReportMetric(median(theirs), "constant/s")
	b.ReportMetric(median(ours), "polls/s")
	b.ReportMetric(median(ours)/median(theirs), "ratio")
}

// median leaves out the turns in which the machine did something else.
func median(rates []float64) float64 {
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// benchServer serves a fleet, one of whose sets is 13 KB, as the command would.
func benchServer(b *testing.B) func(net.Listener) {
	b.Helper()
	content := acme("")
	set := []map[string]any{}
	for n := range 28 {
		set = append(set, map[string]any{
			"id": fmt.Sprintf("component-%02d", n), "namespace": "platform", "version": fmt.Sprintf("v1.%d.0", n),
			"url": fmt.Sprintf("oci://registry.example.com/charts/component-%02d", n), "digest": noise(200),
		})
	}
	content.Members[1].Inputs["platform-components"] = set
	from := &source{}
	from.set("main@sha1:2f0c1a9e5b7d3f486a1c2e4b6d8f0a1b3c5d7e9f", content, nil)
	live := fleet.New(fleet.Config{Source: from, Renderer: &renderer{}, Interval: time.Hour})
	tokens := filepath.Join(b.TempDir(), "tokens.yaml")
	entry := fmt.Sprintf(`tokens: [{name: eu, role: cluster, cluster: eu-prod-01, hash: "%s"}]`, hash(clusterToken))
	if err := os.WriteFile(tokens, []byte(entry), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := server.New(server.Config{Fleet: live, TokensFile: tokens})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- live.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-followed })
	for _, err := live.View(); err != nil; _, err = live.View() {
		time.Sleep(time.Millisecond)
	}
	return func(ln net.Listener) { _ = s.Serve(ctx, ln) }
}

// noise is text that gzip can do little about.
func noise(n int) string {
	raw := make([]byte, n*3/4)
	_, _ = rand.Read(raw) // never fails
	return base64.StdEncoding.EncodeToString(raw)
}

// constantOf answers with the headers and bytes of that response, whatever is asked.
func constantOf(r *http.Response) func(net.Listener) {
	body, _ := io.ReadAll(r.Body) // from memory
	length := strconv.Itoa(len(body))
	handler := func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, name := range []string{"Etag", "Tributary-Revision", "Tributary-Generation", "Cache-Control", "Vary", "Content-Type", "Content-Encoding"} {
			h.Set(name, r.Header.Get(name))
		}
		h.Set("Content-Length", length)
		_, _ = w.Write(body)
	}
	return func(ln net.Listener) { _ = http.Serve(ln, http.HandlerFunc(handler)) }
}

// poller sends one request again and again over one connection, and reads
// answers by their size, because parsing them would cost more than answering.
type poller struct {
	conn  net.Conn
	size  int // of a whole answer
	first *http.Response
	into  []byte
}

var pollRequest = []byte("GET " + kedaPath + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: flux-operator/v0.58.1\r\n" +
	"Accept: application/json\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer " + clusterToken + "\r\n\r\n")

func newPoller(b *testing.B, serve func(net.Listener)) *poller {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go serve(ln)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(); _ = ln.Close() })
	if _, err := conn.Write(pollRequest); err != nil {
		b.Fatal(err)
	}
	var raw bytes.Buffer
	first, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil || first.StatusCode != http.StatusOK || first.Header.Get("Content-Encoding") != "gzip" {
		b.Fatalf("%v, %v", first, err)
	}
	body, err := io.ReadAll(first.Body)
	if err != nil {
		b.Fatal(err)
	}
	if plain := len(unzip(body)); plain < 12<<10 || plain > 14<<10 {
		b.Fatalf("the answer has %d bytes, want 13 KB", plain)
	}
	first.Body = io.NopCloser(bytes.NewReader(body))
	return &poller{conn: conn, size: raw.Len(), first: first, into: make([]byte, raw.Len())}
}

// polls sends n and returns the rate at which they were answered, per second.
func (p *poller) polls(b *testing.B, n int) float64 {
	start := time.Now()
	for range n {
		if _, err := p.conn.Write(pollRequest); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(p.conn, p.into); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start)
	if !bytes.HasPrefix(p.into, []byte("HTTP/1.1 200 OK\r\n")) {
		b.Fatalf("an answer began with %q", p.into[:40])
	}
	return float64(n) / took.Seconds()
}
