package server_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tributary-gitops/tributary/server"
)

// A client that is idle or sends very slowly must not keep a connection open.
func TestSlowRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) {
		c.Limits = server.Limits{ReadHeader: time.Second, Read: time.Second, Idle: time.Second}
	})
	for what, sent := range map[string]string{
		"nothing":       "",
		"half a line":   "GET /api/v1/flux/clus",
		"half a header": "GET / HTTP/1.1\r\nHost: localhost\r\nX-",
		"an idle one":   "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			conn := h.dial()
			if _, err := io.WriteString(conn, sent); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn) // ends when the server closes the connection
			if err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%v, want the server to close the connection", err)
			}
			if good := strings.HasPrefix(string(answer), "HTTP/1.1 200"); good != (what == "an idle one") {
				t.Errorf("%q", answer)
			}
		})
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) { c.Limits.HeaderBytes = 1 << 10 })
	conn := h.dial()
	go func() {
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Huge: %s\r\n\r\n", strings.Repeat("x", 1<<20)) // fails midway
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("= %d, want 431", response.StatusCode)
	}
}

func TestHostileRequestsGetNoGoodAnswer(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", acme("main@sha1:1"))
	for _, request := range []string{
		"GET " + kedaPath + " HTTP/1.1\r\n\r\n", // no Host
		"GET " + kedaPath + " HTTP/1.0\r\n\r\n",
		"GET " + kedaPath + " HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
		"GET http://evil.example.com" + kedaPath + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET " + kedaPath + "%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET " + kedaPath + "\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET " + kedaPath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n",
		"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n",
	} {
		conn := h.dial()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err == nil && response.StatusCode < 400 {
			t.Errorf("%q = %d", request, response.StatusCode)
		}
	}
	if got := h.get(kedaPath); got.status != http.StatusOK {
		t.Errorf("afterwards = %d, want 200", got.status)
	}
}

func (h *harness) dial() net.Conn {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	must(h.t, conn.(*net.TCPConn).SetReadBuffer(16<<10))
	must(h.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	h.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestEveryBoundHasAValue(t *testing.T) {
	t.Parallel()
	h := newServer(t, server.Config{}).HTTPServer()
	if h.ReadHeaderTimeout <= 0 || h.ReadTimeout <= 0 || h.WriteTimeout <= 0 || h.IdleTimeout <= 0 || h.MaxHeaderBytes <= 0 {
		t.Errorf("%+v leaves something unbounded", h)
	}
	custom := newServer(t, server.Config{Limits: server.Limits{Stall: time.Second, HeaderBytes: 5}}).HTTPServer()
	if custom.WriteTimeout != time.Second || custom.MaxHeaderBytes != 5 || custom.IdleTimeout != h.IdleTimeout {
		t.Errorf("%+v does not follow Config.Limits", custom)
	}
}

// A request that is in flight when the server stops is answered to its end.
func TestShutdownFinishesRequestsInFlight(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.release("main@sha1:1", tooBigToBuffer())
	conn := h.dial()
	if _, err := io.WriteString(conn, "GET "+kedaPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(conn)
	response, err := http.ReadResponse(answer, nil) // the headers; the body fills the buffers and waits
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	eventually(t, func() bool {
		probe, err := net.Dial("tcp", h.addr)
		if err == nil {
			_ = probe.Close()
		}
		return err != nil // no longer listens
	})
	body, err := io.ReadAll(response.Body)
	if err != nil || int64(len(body)) != response.ContentLength {
		t.Errorf("%d of %d bytes, %v", len(body), response.ContentLength, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

// tooBigToBuffer returns a fleet with an answer that does not fit into the buffers between
// the server and a client that does not read. The answer stays in flight.
func tooBigToBuffer() repo {
	big := acme("")
	big.Members[1].Padding = 3 << 20 // of two inputs; Linux buffers 4 MiB
	return big
}

func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *server.Config) { c.Limits.Shutdown = time.Millisecond })
	h.release("main@sha1:1", tooBigToBuffer())
	conn := h.dial()
	if _, err := io.WriteString(conn, "GET "+kedaPath+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	if err := h.stop(); err == nil || !strings.Contains(err.Error(), "cut") {
		t.Errorf("Serve = %v, want that answers were cut", err)
	}
	h.stop = func() error { return nil } // the error was expected
}

// certificateFor makes a self-signed certificate for 127.0.0.1, in PEM.
func certificateFor(t testing.TB, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

func TestCertificateIsReloadedAndGoodOneKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func(cert, key string) {
		t.Helper()
		replaced["renamed over"](t, certFile, cert)
		replaced["renamed over"](t, keyFile, key)
	}
	write(certificateFor(t, "first"))
	h := start(t, func(c *server.Config) {
		c.TLSCertFile, c.TLSKeyFile, c.Reload = certFile, keyFile, time.Millisecond
	})
	h.release("main@sha1:1", acme("main@sha1:1"))
	if got := h.handshake(tls.VersionTLS13); got != "first" {
		t.Fatalf("certificate of %q, want first", got)
	}
	write(certificateFor(t, "second"))
	eventually(t, func() bool { return h.handshake(tls.VersionTLS12) == "second" })

	complaints := func() int { return strings.Count(h.logs.String(), "private key does not match") }
	before := complaints() // the two files are not replaced at once
	_, otherKey := certificateFor(t, "third")
	replaced["renamed over"](t, keyFile, otherKey)
	eventually(t, func() bool { return complaints() > before })
	if got := h.handshake(tls.VersionTLS13); got != "second" {
		t.Errorf("certificate of %q, want second", got)
	}
	if got := h.handshake(tls.VersionTLS11); got != "" {
		t.Errorf("TLS 1.1 = certificate of %q, want none", got)
	}
}

// handshake returns the name in the server's certificate, or "" if the handshake fails.
func (h *harness) handshake(version uint16) string {
	conn, err := tls.Dial("tcp", h.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: version})
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// overHTTP2 starts a server with TLS whose client speaks HTTP/2.
func overHTTP2(t *testing.T, adjust ...func(*server.Config)) *harness {
	t.Helper()
	cert, key := certificateFor(t, "tributary")
	certFile, keyFile := writeFile(t, "tls.crt", cert), writeFile(t, "tls.key", key)
	h := start(t, append(adjust, func(c *server.Config) { c.TLSCertFile, c.TLSKeyFile = certFile, keyFile })...)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	h.client.Transport, h.url = newChecked(t, transport), "https://"+h.addr
	return h
}

func TestPollsOverHTTP2(t *testing.T) {
	t.Parallel()
	h := overHTTP2(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, h.url+kedaPath, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+clusterToken)
	response, err := h.client.Do(r)
	must(t, err)
	defer response.Body.Close()
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
		t.Errorf("HTTP/%d %d, want HTTP/2 200", response.ProtoMajor, response.StatusCode)
	}
	h.get("/api/v1/clusters", bearer(clusterToken)...).problem(t, http.StatusForbidden, "forbidden")
}

func TestHeadOfALongAnswerSucceedsOverHTTP2(t *testing.T) {
	t.Parallel()
	h := overHTTP2(t, withTokens(t), func(c *server.Config) { c.Registry.MustRegister(collectors.NewGoCollector()) })
	reply := h.do(http.MethodHead, "/metrics", append(bearer(viewerToken), "Accept-Encoding", "identity")...)
	if reply.status != http.StatusOK || len(reply.body) > 0 {
		t.Errorf("= %d with %d bytes, want 200 without any", reply.status, len(reply.body))
	}
	must(t, h.stop())
	if log := h.logs.String(); strings.Contains(log, "ERROR") {
		t.Error(log)
	}
}
