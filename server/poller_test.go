package server_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

// poller sends one request repeatedly over one connection. It reads answers by their size,
// because parsing them would cost more than answering.
type poller struct {
	conn  net.Conn
	size  int // of an answer, in bytes
	first *http.Response
	into  []byte
}

var pollRequest = []byte("GET " + kedaPath + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: flux-operator/v0.58.1\r\n" +
	"Accept: application/json\r\nAccept-Encoding: gzip\r\nAuthorization: Bearer " + clusterToken + "\r\n\r\n")

// listening returns the address that serve answers on.
func listening(b *testing.B, serve func(net.Listener)) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	go serve(ln)
	b.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

func newPoller(b *testing.B, address string) *poller {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	must(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	return pollerOn(b, conn)
}

// pollerOn sends the first poll, and checks that its answer has 13 KB.
func pollerOn(b *testing.B, conn net.Conn) *poller {
	b.Helper()
	_, err := conn.Write(pollRequest)
	must(b, err)
	var raw bytes.Buffer
	first, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), nil)
	if err != nil || first.StatusCode != http.StatusOK || first.Header.Get("Content-Encoding") != "gzip" {
		b.Fatalf("%v, %v", first, err)
	}
	body, err := io.ReadAll(first.Body)
	must(b, err)
	if plain := len(unzip(body)); plain < 12<<10 || plain > 14<<10 {
		b.Fatalf("the answer has %d bytes, want 13 KB", plain)
	}
	first.Body = io.NopCloser(bytes.NewReader(body))
	return &poller{conn: conn, size: raw.Len(), first: first, into: make([]byte, raw.Len())}
}

// polls sends n polls and returns how many were answered a second.
func (p *poller) polls(b *testing.B, n int) float64 {
	start := time.Now()
	for range n {
		p.poll(b)
	}
	took := time.Since(start)
	if !bytes.HasPrefix(p.into, []byte("HTTP/1.1 200 OK\r\n")) {
		b.Fatalf("an answer began with %q", p.into[:40])
	}
	return float64(n) / took.Seconds()
}

func (p *poller) poll(b *testing.B) {
	if _, err := p.conn.Write(pollRequest); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(p.conn, p.into); err != nil {
		b.Fatal(err)
	}
}

// inTurns polls two servers in turns, so that other load of the machine affects both
// alike. It reports the rate of each and their ratio. The median excludes turns in which
// the machine was busy.
func inTurns(b *testing.B, peer string, theirs, ours func() float64) {
	b.Helper()
	var of, to []float64
	for b.Loop() {
		to = append(to, theirs())
		of = append(of, ours())
	}
	b.ReportMetric(0, "ns/op") // an op is one turn of each, which is not a useful figure
	b.ReportMetric(median(to), peer+"/s")
	b.ReportMetric(median(of), "polls/s")
	b.ReportMetric(median(of)/median(to), "ratio")
}

func median(rates []float64) float64 {
	slices.Sort(rates)
	return rates[len(rates)/2]
}
