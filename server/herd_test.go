package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server"
)

// The size of a herd: ten thousand polls of two thousand clusters, and a fifth of that in
// short tests.
func herdClusters() int { return herdSize(2_000) }
func herdPolls() int    { return herdSize(10_000) }

const herdConns = 200

func herdSize(full int) int {
	if testing.Short() {
		return full / 5
	}
	return full
}

// herd returns a fleet of many clusters, which poll at the same time with one credential.
func herd() repo {
	r := repo{InputSets: []string{"platform-components"}}
	for n := range herdClusters() {
		r.Members = append(r.Members, member{
			Cluster: &fleet.Cluster{Name: fmt.Sprintf("c%04d", n)},
			Inputs:  map[string][]map[string]any{"platform-components": {{"id": "keda", "padding": strings.Repeat("x", 2_000)}}},
		})
	}
	return r
}

// pollAll sends polls over keep-alive connections, as fast as they are answered. It calls
// look for each answer, and counts the statuses.
func (h *harness) pollAll(polls int, look func(n int, r reply)) *[600]atomic.Int64 {
	h.t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: herdConns, MaxConnsPerHost: herdConns}}
	defer client.CloseIdleConnections()
	var counts [600]atomic.Int64
	var next atomic.Int64
	var all sync.WaitGroup
	for range herdConns {
		all.Go(func() {
			for n := int(next.Add(1)); n <= polls; n = int(next.Add(1)) {
				r := h.pollOf(client, n%herdClusters())
				counts[r.status].Add(1)
				look(n, r)
			}
		})
	}
	all.Wait()
	return &counts
}

func (h *harness) pollOf(client *http.Client, cluster int) reply {
	r, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("%s/api/v1/flux/clusters/c%04d/platform-components", h.url, cluster), nil)
	r.Header.Set("Authorization", "Bearer "+viewerToken)
	answer, err := client.Do(r)
	if err != nil {
		h.t.Error(err)
		return reply{}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Error(err)
	}
	return reply{answer.StatusCode, answer.Header, body}
}

// whole checks an answer to a poll: it has all inputs, or nothing that looks like inputs.
func (h *harness) whole(n int, r reply) {
	var got struct {
		Inputs  []struct{ ID string }
		Cluster string
	}
	err := json.Unmarshal(r.body, &got)
	switch {
	case err != nil:
		h.t.Errorf("poll %d = %d %q: %v", n, r.status, r.body, err)
	case r.status == http.StatusOK && (len(got.Inputs) != 1 || len(r.body) < 2_000):
		h.t.Errorf("poll %d = 200 with %s", n, r.body)
	case r.status >= 500 && (r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || got.Inputs != nil):
		h.t.Errorf("poll %d = %d %v %s", n, r.status, r.header, r.body)
	}
}

func TestHerdWithOneCredentialIsAnswered(t *testing.T) {
	h := start(t, withTokens(t))
	h.release("main@sha1:1", herd())
	once := func() {
		t.Helper()
		counts := h.pollAll(herdPolls(), h.whole)
		if got := int(counts[http.StatusOK].Load()); got != herdPolls() {
			t.Errorf("%d of %d polls were answered 200", got, herdPolls())
		}
	}
	once() // so that everything that is made once exists
	before := heap()
	once()
	eventually(t, func() bool { return h.metric("tributary_connections") == "1" }) // the one of this request
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes over %d polls", grown, herdPolls())
	}
	if shed := h.metric(`tributary_polls_shed_total{reason="rate"}`); shed != "0" {
		t.Errorf("%s polls were shed for their rate", shed)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // frees what finalizers and pools kept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestPollsBeyondCapacityAreShedUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t), func(c *server.Config) { c.Limits.Polls = 5 * herdConns })
	h.release("main@sha1:1", herd())
	leave := sync.OnceFunc(h.server.Occupy())
	counts := h.pollAll(herdPolls(), func(n int, r reply) {
		h.whole(n, r)
		if n == herdPolls()/2 {
			leave()
		}
	})
	good, shed := counts[http.StatusOK].Load(), counts[http.StatusServiceUnavailable].Load()
	if good == 0 || shed == 0 || int(good+shed) != herdPolls() {
		t.Errorf("%d polls = 200 and %d = 503 of %d, want some of both and nothing else", good, shed, herdPolls())
	}
	after := h.pollAll(herdClusters(), h.whole)
	if got := int(after[http.StatusOK].Load()); got != herdClusters() {
		t.Errorf("with room again, %d of %d polls were answered 200", got, herdClusters())
	}
	if got := h.metric(`tributary_polls_shed_total{reason="slow"}`); got != fmt.Sprint(shed) {
		t.Errorf("polls that were shed = %s, want %d", got, shed)
	}
}

// Operators must be able to see what is wrong with a server.
func TestProbesAreAnsweredWhilePollsAreShed(t *testing.T) {
	t.Parallel()
	h := start(t, withTokens(t))
	h.release("main@sha1:1", acme("main@sha1:1"))
	leave := h.server.Occupy()
	shed := h.get(kedaPath, bearer(clusterToken)...)
	shed.problem(t, http.StatusServiceUnavailable, "busy")
	if shed.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", releases} {
		if got := h.get(path, bearer(viewerToken)...); got.status != http.StatusOK {
			t.Errorf("%s = %d %s, want 200", path, got.status, got.body)
		}
	}
	leave()
	if got := h.get(kedaPath, bearer(clusterToken)...); got.status != http.StatusOK {
		t.Errorf("with room again = %d, want 200", got.status)
	}
}
