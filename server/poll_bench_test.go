package server_test

import (
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
	"strconv"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
)

// BenchmarkPoll asks how much of net/http's own speed a poll has: the rate of
// keep-alive polls of a 13 KB answer, with a token and gzip, as a ratio to that of a bare
// net/http server without time-outs, whose handler writes the same headers and bytes.
// Turns of ten alternate, over real connections, by a client that does next to nothing;
// the ratio is that of the medians. Tributary's server has the time-outs, bounds and
// rates that serve gives it, and hashes and looks up the token for each poll.
func BenchmarkPoll(b *testing.B) {
	polled := newPoller(b, listening(b, benchServer(b)))
	constant := newPoller(b, listening(b, serving(constantOf(polled.first))))
	if polled.size != constant.size {
		b.Fatalf("answers of %d and %d bytes cannot be compared", polled.size, constant.size)
	}
	againstPoller(b, "constant", constant, polled)
}

// againstPoller compares keep-alive polls of two servers, once both are warm.
func againstPoller(b *testing.B, peer string, theirs, ours *poller) {
	const turn = 10
	theirs.polls(b, 100*turn)
	ours.polls(b, 100*turn)
	inTurns(b, peer, func() float64 { return theirs.polls(b, turn) }, func() float64 { return ours.polls(b, turn) })
}

// benchServer serves a fleet, one of whose sets is 13 KB, as the command would.
func benchServer(b *testing.B, adjust ...func(*server.Config)) func(net.Listener) {
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
	live := controller.New(controller.Config{Source: from, Renderer: &renderer{}, Interval: time.Hour})
	tokens := filepath.Join(b.TempDir(), "tokens.yaml")
	entry := fmt.Sprintf(`tokens: [{name: eu, role: cluster, cluster: eu-prod-01, hash: "%s"}]`, hash(clusterToken))
	if err := os.WriteFile(tokens, []byte(entry), 0o600); err != nil {
		b.Fatal(err)
	}
	cfg := server.Config{Fleet: live, TokensFile: tokens, Limits: server.Limits{PollRate: 1e6}} // a herd in one cluster
	for _, m := range adjust {
		m(&cfg)
	}
	s, err := server.New(cfg)
	must(b, err)
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
func constantOf(r *http.Response) http.HandlerFunc {
	body, _ := io.ReadAll(r.Body) // from memory
	r.Body = io.NopCloser(bytes.NewReader(body))
	length := strconv.Itoa(len(body))
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, name := range []string{"Etag", "Tributary-Revision", "Tributary-Generation", "Cache-Control", "Vary", "Content-Type", "Content-Encoding"} {
			h.Set(name, r.Header.Get(name))
		}
		h.Set("Content-Length", length)
		_, _ = w.Write(body)
	}
}

func serving(h http.Handler) func(net.Listener) {
	return func(ln net.Listener) { _ = http.Serve(ln, h) }
}
