package main

import (
	"crypto/sha256"
	"net/http"
	"sort"
	"sync"
	"testing"
	"time"
)

// heard is what polls were answered, held against what must be.
type heard struct {
	t testing.TB

	mu        sync.Mutex
	polls     int
	retried   int
	last      [2]int64          // by server: the generation that it was at last
	answers   map[poll]given    // what was answered
	shared    int               // how many of them were given by both servers
	known     []sighting        // when it was first seen that there is a generation, in order
	revisions map[string]bool   // that were served
	late      []time.Duration   // by poll: for how long something newer had been seen elsewhere
	clusters  map[string]latest // by cluster and set: its last poll through the balancer
	back      int               // polls through the balancer whose answer is older than that of the last
	backLate  int               // of these, whose last poll was long before
}

type poll struct {
	cluster, set string
	generation   int64
}

type given struct {
	etag string
	sum  [sha256.Size]byte // of the body: minutes of them are too many to keep
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

func newHeard(t testing.TB) *heard {
	return &heard{t: t, answers: map[poll]given{}, revisions: map[string]bool{}, clusters: map[string]latest{}}
}

// pollAll polls for every n-th cluster through the balancer, the half of them over one
// connection and the others over one for each poll, as the operator does.
func (s *servers) pollAll(n, every int) {
	l := &line{addr: s.balancer.addr, keep: n%2 == 0}
	defer l.close()
	for at := n; !s.ended(); at = (at + every) % (len(s.repo.clusters) * len(s.repo.sets)) {
		s.pollOf(l, -1, s.repo.clusters[at/len(s.repo.sets)], s.repo.sets[at%len(s.repo.sets)])
		time.Sleep(10 * time.Millisecond) // else connections run out
	}
}

// pollBoth polls both servers for the same at about the same time.
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

// beforeRetry is shorter than any client waits, and longer than a process that was
// killed takes to go.
const beforeRetry = 100 * time.Millisecond

// pollOf polls for a cluster, and a second time where the connection breaks. That of
// one server, which may be down, it does not miss.
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
		s.t.Errorf("a poll fails: %v, and then: %v", first, err)
		return
	case a.status != http.StatusOK:
		s.t.Errorf("a poll = %d %s, want 200", a.status, a.body)
		return
	case balanced:
		at = s.balancer.whom(a.from)
	}
	s.hold(a, at, before[at], poll{cluster, set, a.generation})
	if balanced {
		s.order(cluster+"/"+set, a.generation, start)
	}
}

func (h *heard) retry() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retried++
}

func (h *heard) lasts() [2]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// hold has an answer of a server agree with all that were given before.
func (h *heard) hold(a answer, at int, before int64, p poll) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.polls++
	if a.generation == 0 || a.generation < before {
		h.t.Errorf("server %d answers with generation %d, and was at %d when it was asked", at, a.generation, before)
	}
	h.last[at] = max(h.last[at], a.generation)
	h.revisions[a.header.Get("Tributary-Revision")] = true
	h.see(a.generation)
	old, known := h.answers[p]
	sum, etag := sha256.Sum256(a.body), a.header.Get("ETag")
	if known && (old.etag != etag || old.sum != sum) {
		h.t.Errorf("%+v is once %s, and once %s\n%s", p, old.etag, etag, a.body)
	}
	if known && !old.by[at] {
		h.shared++
	}
	old.etag, old.sum, old.by[at] = etag, sum, true
	h.answers[p] = old
}

// see notes that there is a generation. The caller holds mu.
func (h *heard) see(generation int64) {
	if n := len(h.known); n == 0 || h.known[n-1].generation < generation {
		h.known = append(h.known, sighting{generation, time.Now()})
	}
}

// longAgo is so long that a server has seen all of what was written before it, also one
// that was told of nothing: it looks at the log by itself twice a second.
const longAgo = 2 * time.Second

// order notes how old an answer is that the balancer gave, and whether the cluster had
// a newer one before.
func (h *heard) order(cluster string, generation int64, asked time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	newer := sort.Search(len(h.known), func(i int) bool { return h.known[i].generation > generation })
	late := time.Duration(0)
	if newer < len(h.known) {
		late = max(0, asked.Sub(h.known[newer].at))
	}
	h.late = append(h.late, late)
	last := h.clusters[cluster]
	if generation < last.generation {
		h.back++
		if asked.Sub(last.at) > longAgo {
			h.backLate++
		}
	}
	h.clusters[cluster] = latest{generation, time.Now()}
}

func (h *heard) awaitPolls(n int) {
	h.t.Helper()
	h.mu.Lock()
	polls := h.polls
	h.mu.Unlock()
	h.await("polls", func() bool { return h.polls > polls+n })
}

func (h *heard) await(what string, happened func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		is := happened()
		h.mu.Unlock()
		if is {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("no more %s", what)
		}
	}
}
