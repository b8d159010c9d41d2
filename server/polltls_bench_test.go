package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/server"
)

// BenchmarkPollOverNewTLS asks the same as BenchmarkPoll of polls that each make a TLS
// connection of their own, as Flux Operator does: the rate of dialling, a full handshake of
// TLS 1.3 with a P-256 certificate that the client verifies, one poll and closing, as a ratio
// to that of a bare net/http server with the same certificate and a constant handler.
// Turns of five alternate; the ratio is that of the medians.
func BenchmarkPollOverNewTLS(b *testing.B) {
	cert, key := certificateFor(b, "tributary")
	certFile, keyFile := writeFile(b, "tls.crt", cert), writeFile(b, "tls.key", key)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(cert))
	client := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	ours := listening(b, benchServer(b, func(c *server.Config) { c.TLSCertFile, c.TLSKeyFile = certFile, keyFile }))
	model := overNewTLS(b, client, ours, nil)
	theirs := listening(b, func(ln net.Listener) {
		_ = (&http.Server{Handler: constantOf(model.first)}).ServeTLS(ln, certFile, keyFile)
	})
	turn := func(address string) func() float64 {
		return func() float64 {
			const polls = 5
			start := time.Now()
			for range polls {
				overNewTLS(b, client, address, model.into)
			}
			return polls / time.Since(start).Seconds()
		}
	}
	for range 20 { // both get warm
		turn(ours)()
		turn(theirs)()
	}
	inTurns(b, "constant", turn(theirs), turn(ours))
}

// overNewTLS polls once over a connection of its own. Where it is known how long an answer
// is, the poller that is returned has only read it.
func overNewTLS(b *testing.B, client *tls.Config, address string, into []byte) *poller {
	conn, err := tls.Dial("tcp", address, client)
	must(b, err)
	defer func() { _ = conn.Close() }()
	if into == nil {
		return pollerOn(b, conn)
	}
	p := &poller{conn: conn, into: into}
	p.poll(b)
	return p
}
