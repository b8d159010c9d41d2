package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// acknowledged records writes, and how soon the other server served them.
type acknowledged struct {
	writes   sync.Mutex
	acks     int
	reasons  map[int64]string    // of each acknowledged write, by generation
	last     map[string][]string // by cluster: the last acknowledged write, and later ones that may have been kept
	seen     []time.Duration     // how long the other server took to serve a write
	troubled int                 // writes without a measurement, because of a restart
}

// writeAll writes through the balancer, and waits for each write on the other server. Each
// writer has its own keys and clusters, so that the expected inputs are known.
func (s *servers) writeAll(writer int) {
	l := &line{addr: s.balancer.addr}
	for n := 0; !s.ended(); n++ {
		cluster := s.repo.clusters[(2*n+writer)%len(s.repo.clusters)]
		s.writeTo(l, cluster, fmt.Sprintf("w%d-%d", writer, n))
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *servers) writeTo(l *line, cluster, value string) {
	a, err := l.ask(http.MethodPatch, "/api/v1/clusters/"+cluster+"/objects/"+s.fleet.object, fmt.Sprintf(s.fleet.patch, value),
		"Content-Type", "application/merge-patch+json", "Tributary-Reason", value)
	acked := time.Now()
	switch {
	case err != nil, a.status == http.StatusServiceUnavailable && s.trouble.noDatabase.Load():
		s.mayKeep(cluster, value)
		return
	case a.status != http.StatusOK:
		s.t.Errorf("a write = %d %s, want 200", a.status, a.body)
		return
	}
	var result fleet.Result
	if err := json.Unmarshal(a.body, &result); err != nil {
		s.t.Error(err)
		return
	}
	s.acknowledge(cluster, value, result.Generation)
	s.watch(1-s.balancer.serverOf(a.from), cluster, result.Generation, acked)
}

func (k *acknowledged) acknowledge(cluster, value string, generation int64) {
	k.writes.Lock()
	defer k.writes.Unlock()
	k.acks++
	k.reasons[generation], k.last[cluster] = value, []string{value}
}

// mayKeep records a write without an answer, which may have been kept.
func (k *acknowledged) mayKeep(cluster, value string) {
	k.writes.Lock()
	defer k.writes.Unlock()
	k.last[cluster] = append(k.last[cluster], value)
}

// watch polls the other server until it serves the write.
func (s *servers) watch(at int, cluster string, generation int64, acked time.Time) {
	l := &line{addr: s.urls[at], keep: true}
	defer l.close()
	for deadline := acked.Add(patience); ; time.Sleep(time.Millisecond) {
		before := s.lasts()
		a, err := l.ask(http.MethodGet, "/api/v1/flux/clusters/"+cluster+"/"+s.fleet.set, "")
		took := time.Since(acked)
		if err != nil || time.Now().After(deadline) && s.trouble.noDatabase.Load() {
			s.note(0, false)
			return // the server is down
		}
		if a.status != http.StatusOK {
			s.t.Errorf("a poll = %d %s, want 200", a.status, a.body)
			return
		}
		s.check(a, at, before[at], poll{cluster, s.fleet.set, a.generation})
		if a.generation >= generation {
			s.note(took, s.trouble.noneSince(acked))
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("server %d does not serve generation %d", at, generation)
			return
		}
	}
}

func (k *acknowledged) note(took time.Duration, calm bool) {
	k.writes.Lock()
	defer k.writes.Unlock()
	if calm {
		k.seen = append(k.seen, took)
	} else {
		k.troubled++
	}
}

// awaitProgress waits for answers to more polls and writes.
func (s *servers) awaitProgress() {
	s.t.Helper()
	count := func() int {
		s.writes.Lock()
		defer s.writes.Unlock()
		return s.acks
	}
	acks := count()
	s.await("writes", func() bool { return count() > acks+5 })
	s.awaitPolls(100)
}

// wantKept checks that the log has each acknowledged write at its generation, and that every
// server serves the last write of each cluster.
func (s *servers) wantKept() {
	t, k := s.t, s.acknowledged
	t.Helper()
	logged := map[int64]string{}
	for _, c := range s.processes[0].history(0) {
		logged[c.Generation] = c.Reason
	}
	for generation, reason := range k.reasons {
		if logged[generation] != reason {
			t.Errorf("generation %d is %q in the log, want the acknowledged %q", generation, logged[generation], reason)
		}
	}
	for i, p := range s.processes {
		for cluster, values := range k.last {
			_, served := p.poll(cluster, s.fleet.set)
			if !slices.ContainsFunc(values, func(v string) bool { return strings.Contains(served, `"written":"`+v+`"`) }) {
				t.Errorf("server %d serves %s, whose last writes are %s:\n%s", i, cluster, values, served)
			}
		}
	}
}
