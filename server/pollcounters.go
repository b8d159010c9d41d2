package server

import (
	"maps"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// pollCounters count polls by set and status. Those that have been counted once are
// found in a map that is replaced and never changed, because a CounterVec takes a lock
// each time. There are as many as sets and statuses, which are few.
type pollCounters struct {
	all   *prometheus.CounterVec
	known atomic.Pointer[map[pollKey]prometheus.Counter]
}

type pollKey struct {
	set    string
	status int
}

func (c *pollCounters) init(r prometheus.Registerer) {
	c.all = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tributary_polls_total", Help: "Polls by input set and status; the set is empty where no such set is served.",
	}, []string{"set", "status"})
	c.known.Store(&map[pollKey]prometheus.Counter{})
	r.MustRegister(c.all)
}

func (m *metrics) polled(set string, status int) {
	key := pollKey{set, status}
	counter, ok := (*m.polls.known.Load())[key]
	if !ok {
		counter = m.polls.learn(key)
	}
	counter.Inc()
}

// learn may forget what another learns at the same time, which learns it again.
func (c *pollCounters) learn(key pollKey) prometheus.Counter {
	next := maps.Clone(*c.known.Load())
	next[key] = c.all.WithLabelValues(key.set, strconv.Itoa(key.status))
	c.known.Store(&next)
	return next[key]
}
