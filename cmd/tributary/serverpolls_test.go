package main

import (
	"crypto/sha256"
	"net/http"
	"sort"
	"sync"
	"testing"
	"time"
)

// pollLog records and checks the answers to polls.
type pollLog struct {
	t testing.TB

	mu        sync.Mutex
	polls     int
	retried   int
	last      [2]int64          // the last generation of each server
	answers   map[poll]given    // the first answer to each poll
	shared    int               // how many of them both servers gave
	known     []sighting        // when each generation was first seen, in order
	revisions map[string]bool   // the revisions that were served
	late      []time.Duration   // for each poll, how long a newer generation had been known
	clusters  map[string]latest // the last poll of each cluster and set through the balancer
	back      int               // polls through the balancer with an older generation than the last one
	backLate  int               // how many of them came long after the last one
}

type poll struct {
	cluster, set string
	generation   int64
}

type given struct {
	etag string
	sum  [sha256.Size]byte // of the body, which is too large to keep
	by   [2]bool
}

type sighting struct {
	generation int64
	at         time.Time
}

type latest struct {
	generation int64
	at         time.Time
}

func newPollLog(t testing.TB) *pollLog {
	return &pollLog{t: t, answers: map[poll]given{}, revisions: map[string]bool{}, clusters: map[string]latest{}}
}

// pollAll polls every n-th cluster through the balancer. Even pollers keep their connection,
// and odd ones open one for each poll, as the operator does.
func (s *servers) pollAll(n, every int) {
	l := &line{addr: s.balancer.addr, keep: n%2 == 0}
	defer l.close()
	for at := n; !s.ended(); at = (at + every) % (len(s.repo.clusters) * len(s.repo.sets)) {
		s.pollOf(l, -1, s.repo.clusters[at/len(s.repo.sets)], s.repo.sets[at%len(s.repo.sets)])
		time.Sleep(10 * time.Millisecond) // to not run out of ports
	}
}

// pollBoth polls both servers for the same set at about the same time.
func (s *servers) pollBoth() {
	lines := []*line{{addr: s.urls[0], keep: true}, {addr: s.urls[1], keep: true}}
	for n := 0; !s.ended(); n++ {
		cluster, set := s.repo.clusters[n%len(s.repo.clusters)], s.repo.sets[n/7%len(s.repo.sets)]
		for at, l := range lines {
			s.pollOf(l, at, cluster, set)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// beforeRetry is shorter than any client waits, and longer than a killed process takes to
// end.
const beforeRetry = 100 * time.Millisecond

// pollOf polls a cluster through the balancer, or on server at if that is not negative. It
// repeats a poll if the connection breaks. A single server may be down.
func (s *servers) pollOf(l *line, at int, cluster, set string) {
	path := "/api/v1/flux/clusters/" + cluster + "/" + set
	before, start := s.lasts(), time.Now()
	a, err := l.ask(http.MethodGet, path, "")
	if err != nil && at >= 0 {
		return
	}
	first := err
	if isBroken(err) {
		s.retry()
		time.Sleep(beforeRetry)
		before, start = s.lasts(), time.Now()
		a, err = l.ask(http.MethodGet, path, "")
	}
	balanced := at < 0
	switch {
	case err != nil:
		s.t.Errorf("a poll fails twice: %v, %v", first, err)
		return
	case a.status != http.StatusOK:
		s.t.Errorf("a poll = %d %s, want 200", a.status, a.body)
		return
	case balanced:
		at = s.balancer.serverOf(a.from)
	}
	s.check(a, at, before[at], poll{cluster, set, a.generation})
	if balanced {
		s.order(cluster+"/"+set, a.generation, start)
	}
}

func (h *pollLog) retry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retried++
}

func (h *pollLog) lasts() [2]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// check checks that an answer agrees with all earlier ones.
func (h *pollLog) check(a answer, at int, before int64, p poll) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.polls++
	if a.generation == 0 || a.generation < before {
		h.t.Errorf("server %d answers with generation %d, but was at %d before the request", at, a.generation, before)
	}
	h.last[at] = max(h.last[at], a.generation)
	h.revisions[a.header.Get("Tributary-Revision")] = true
	h.see(a.generation)
	old, known := h.answers[p]
	sum, etag := sha256.Sum256(a.body), a.header.Get("ETag")
	if known && (old.etag != etag || old.sum != sum) {
		h.t.Errorf("%+v has two answers, %s and %s\n%s", p, old.etag, etag, a.body)
	}
	if known && !old.by[at] {
		h.shared++
	}
	old.etag, old.sum, old.by[at] = etag, sum, true
	h.answers[p] = old
}

// see records that a generation exists. The caller holds mu.
func (h *pollLog) see(generation int64) {
	if n := len(h.known); n == 0 || h.known[n-1].generation < generation {
		h.known = append(h.known, sighting{generation, time.Now()})
	}
}

// longAgo is long enough for a server to have read every earlier write, even without a
// notification: it reads the log twice a second.
const longAgo = 2 * time.Second

// order records how old an answer through the balancer is, and whether the cluster had a
// newer one before.
func (h *pollLog) order(cluster string, generation int64, start time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	newer := sort.Search(len(h.known), func(i int) bool { return h.known[i].generation > generation })
	late := time.Duration(0)
	if newer < len(h.known) {
		late = max(0, start.Sub(h.known[newer].at))
	}
	h.late = append(h.late, late)
	last := h.clusters[cluster]
	if generation < last.generation {
		h.back++
		if start.Sub(last.at) > longAgo {
			h.backLate++
		}
	}
	h.clusters[cluster] = latest{generation, time.Now()}
}

func (h *pollLog) awaitPolls(n int) {
	h.t.Helper()
	h.mu.Lock()
	polls := h.polls
	h.mu.Unlock()
	h.await("polls", func() bool { return h.polls > polls+n })
}

func (h *pollLog) await(event string, happened func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		is := happened()
		h.mu.Unlock()
		if is {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("timed out waiting for %s", event)
		}
	}
}
