package server_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/server/api"
)

// harness is a running fleet with a running server on a real listener. Everything that its
// client receives is checked against the OpenAPI document.
type harness struct {
	t        *testing.T
	source   *source
	renderer *renderer
	fleet    *controller.Controller
	server   *server.Server
	addr     string // host:port
	url      string
	client   *http.Client
	logs     *logbook
	clock    *clock
	stop     func() error // ends Serve and returns its error
}

// The tokens of tokensFile, by role.
const (
	viewerToken    = "viewer-5c1f0be2d8"
	operatorToken  = "operator-90ab2c4417"
	adminToken     = "admin-77e03d21ff"
	bootstrapToken = "bootstrap-1d2c3b4a59"
	clusterToken   = "eu-prod-01-a3b9f0c1d2"
	ghostToken     = "ghost-00ff11ee22" // of a cluster that does not exist
)

func hash(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }

func tokensFile(t *testing.T) string {
	t.Helper()
	return writeFile(t, "tokens.yaml", `
tokens:
- {name: grafana, role: viewer, hash: "`+hash(viewerToken)+`"}
- {name: pipeline, role: operator, hash: "`+hash(operatorToken)+`"}
- {name: ada, role: admin, hash: "`+hash(adminToken)+`"}
- {name: boot, role: bootstrap, hash: "`+hash(bootstrapToken)+`"}
- {name: eu-prod-01, role: cluster, cluster: eu-prod-01, hash: "`+hash(clusterToken)+`"}
- {name: ghost, role: cluster, cluster: ghost, hash: "`+hash(ghostToken)+`"}
`)
}

func writeFile(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a server that has no release yet; adjust changes its Config.
func start(t *testing.T, adjust ...func(*server.Config)) *harness {
	t.Helper()
	h := &harness{t: t, source: &source{}, renderer: &renderer{}, logs: &logbook{}, clock: &clock{start: time.Now()}}
	log := slog.New(slog.NewJSONHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	registry := prometheus.NewRegistry()
	h.fleet = controller.New(controller.Config{Source: h.source, Renderer: h.renderer, Logger: log, Registerer: registry, Interval: time.Hour})
	cfg := server.Config{Fleet: h.fleet, Logger: log, Registry: registry, Version: "v0.0.0-test", Now: h.clock.now}
	cfg.Limits.FailureDelay = -1 // failuredelay_test.go tests the delays
	for _, m := range adjust {
		m(&cfg)
	}
	h.fleet = cfg.Fleet
	var err error
	if h.server, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	h.url = "http://" + h.addr
	h.client = &http.Client{Transport: newChecked(t, &http.Transport{MaxIdleConnsPerHost: 100})}
	h.run(ln)
	return h
}

func (h *harness) run(ln net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	following, served := make(chan error, 1), make(chan error, 1)
	go func() { following <- h.fleet.Run(ctx) }()
	go func() { served <- h.server.Serve(ctx, ln) }()
	h.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-served, <-following)
	})
	h.t.Cleanup(func() {
		h.client.CloseIdleConnections()
		if err := h.stop(); err != nil {
			h.t.Errorf("Serve = %v, want nil", err)
		}
		if secret := h.client.Transport.(*checked).leaked(h.logs.String()); secret != "" {
			h.t.Errorf("the log contains the credential %q", secret)
		}
	})
}

func withTokens(t *testing.T) func(*server.Config) {
	t.Helper()
	file := tokensFile(t)
	return func(c *server.Config) { c.TokensFile = file }
}

// release makes content the next revision, and waits until it is live or has failed.
func (h *harness) release(revision string, content repo) {
	h.t.Helper()
	h.source.set(revision, content, nil)
	h.fleet.Look()
	eventually(h.t, func() bool {
		view, err := h.fleet.View()
		failed := h.fleet.Status().Failed
		return err == nil && view.Release().Revision == revision || failed != nil && failed.Revision == revision
	})
}

// eventually waits for a condition that another goroutine brings about. Only a hang
// reaches its limit, since slowness is not a failure.
func eventually(t testing.TB, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within a minute")
		}
	}
}

// reply is an answer with its whole body.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// get sends a GET; headers are name, value, name, value, ….
func (h *harness) get(path string, headers ...string) reply {
	h.t.Helper()
	return h.do(http.MethodGet, path, headers...)
}

func (h *harness) do(method, path string, headers ...string) reply {
	h.t.Helper()
	return h.send(method, path, nil, headers...)
}

func (h *harness) send(method, path string, body io.Reader, headers ...string) reply {
	h.t.Helper()
	r, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, answer}
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// problem checks that the reply is a certain problem, and returns its detail.
func (r reply) problem(t *testing.T, status int, name string) string {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		t.Fatalf("status %d, body %q: %v", r.status, r.body, err)
	}
	if r.status != status || p.Status != status || p.Type != "urn:tributary:problem:"+name {
		t.Errorf("status %d, %+v, want %d %s", r.status, p, status, name)
	}
	return p.Detail
}

// wantOK checks that the reply is a 200, and decodes it.
func (r reply) wantOK(t *testing.T, v any) {
	t.Helper()
	if r.status != http.StatusOK {
		t.Fatalf("status %d: %s, want 200", r.status, r.body)
	}
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatal(err)
	}
}

// metric returns the value of a line of /metrics, or "" if there is none.
func (h *harness) metric(line string) string {
	h.t.Helper()
	return h.metricAs(viewerToken, line)
}

func (h *harness) metricAs(token, line string) string {
	h.t.Helper()
	for l := range strings.Lines(string(h.get("/metrics", bearer(token)...).body)) {
		if value, ok := strings.CutPrefix(l, line+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// clock stands still until a test puts it forward.
type clock struct {
	start time.Time
	ahead atomic.Int64
}

func (c *clock) now() time.Time { return c.start.Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// logbook is a log that can be read while it is written.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines returns the entries with a message.
func (l *logbook) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if cmp.Or(message, entry["msg"].(string)) == entry["msg"] {
			found = append(found, entry)
		}
	}
	return found
}
