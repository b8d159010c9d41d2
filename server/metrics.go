package server

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
	"github.com/tributary-gitops/tributary/server/standing"
)

// metrics are the server's. No label takes a value that a client can make up.
type metrics struct {
	polls                 pollCounters
	pollsShed             *prometheus.CounterVec
	requestsShed          *prometheus.CounterVec
	connectionsClosed     *prometheus.CounterVec
	requests              *prometheus.CounterVec
	durations             *prometheus.HistogramVec
	failedAuthentications *prometheus.CounterVec
	reloadFailing         *prometheus.GaugeVec
	webhooks              *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		polls: newPollCounters(),
		pollsShed: counter("tributary_polls_shed_total",
			"Polls that were shed, by reason: busy (too many at one time), slow (most of those by slow clients), connections (too many are open) or rate (of one credential).", "reason"),
		requestsShed: counter("tributary_requests_shed_total",
			"Other requests that were shed, by reason: busy, slow, rate, or share (too many changes of one credential are under way).", "reason"),
		connectionsClosed: counter("tributary_connections_closed_total",
			"Connections that were closed because too many are open, by reason: idle, silent (nothing was sent) or refused (a new one).", "reason"),
		requests: counter("tributary_http_requests_total",
			"Requests other than polls, by method, route and status; the route is empty if there is none.", "method", "route", "status"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tributary_http_request_duration_seconds", Help: "Time to answer requests other than polls, by method and route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"method", "route"}),
		failedAuthentications: counter("tributary_authentication_failures_total",
			"Requests with an invalid credential, by kind: token, ended (revoked or expired), too_long, jwt or certificate.", "kind"),
		reloadFailing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tributary_reload_failing", Help: "1 while a file cannot be used and its last good content is kept, by file.",
		}, []string{"file"}),
		webhooks: counter("tributary_webhooks_total",
			"Webhooks by provider and result: look, ignored, repeated or refused.", "provider", "result"),
	}
	// An alert needs the 0 that comes before the first event.
	for vec, values := range map[*prometheus.CounterVec][]string{
		m.pollsShed:             {limit.ReasonBusy, limit.ReasonSlow, limit.ReasonConnections, limit.ReasonRate},
		m.requestsShed:          {limit.ReasonBusy, limit.ReasonSlow, limit.ReasonRate, limit.ReasonShare},
		m.connectionsClosed:     {limit.ClosedIdle, limit.ClosedSilent, limit.ClosedRefused},
		m.failedAuthentications: auth.FailureKinds,
	} {
		for _, value := range values {
			vec.WithLabelValues(value)
		}
	}
	r.MustRegister(m.polls.all, m.pollsShed, m.requestsShed, m.connectionsClosed, m.requests, m.durations,
		m.failedAuthentications, m.reloadFailing, m.webhooks)
	return m
}

// registerLoad registers the gauges of the present load.
func (m *metrics) registerLoad(r prometheus.Registerer, s *Server) {
	gauge := func(name, help string, value func() int) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	gauge("tributary_polls_in_flight", "Polls that are being answered.", s.polls.InFlight)
	gauge("tributary_requests_in_flight", "Other requests that are being answered, without probes and scrapes; listeners to events are among them.",
		func() int { return s.requests.InFlight() + s.hooks.InFlight() })
	r.MustRegister(&standing.Collector{Look: func() (*view.View, map[string][]fleet.Poll, time.Time) { return s.look(context.Background()) }})
	gauge("tributary_connections", "Connections that are open.", func() int {
		if l := s.listener.Load(); l != nil {
			return l.Open()
		}
		return 0
	})
}

func (m *metrics) served(rt route, status int, took time.Duration) {
	m.requests.WithLabelValues(rt.method, rt.path, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(rt.method, rt.path).Observe(took.Seconds())
}

// pollCounters count polls by input set and status. A CounterVec takes a lock each time,
// so the counters that were used once are kept in a map that is replaced and never
// changed. There are as many as sets and statuses, which are few.
type pollCounters struct {
	all   *prometheus.CounterVec
	known *atomic.Pointer[map[pollKey]prometheus.Counter]
}

type pollKey struct {
	set    string
	status int
}

func newPollCounters() pollCounters {
	c := pollCounters{
		all: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_polls_total", Help: "Polls by input set and status; the set is empty if no such set is served.",
		}, []string{"set", "status"}),
		known: new(atomic.Pointer[map[pollKey]prometheus.Counter]),
	}
	c.known.Store(&map[pollKey]prometheus.Counter{})
	return c
}

func (m *metrics) polled(set string, status int) {
	key := pollKey{set, status}
	counter, ok := (*m.polls.known.Load())[key]
	if !ok {
		counter = m.polls.add(key)
	}
	counter.Inc()
}

// add may lose what is added at the same time, which is then added again.
func (c *pollCounters) add(key pollKey) prometheus.Counter {
	next := maps.Clone(*c.known.Load())
	next[key] = c.all.WithLabelValues(key.set, strconv.Itoa(key.status))
	c.known.Store(&next)
	return next[key]
}

// getMetrics shows the registry, which has the fleet's metrics as well.
func (s *Server) getMetrics() handler {
	show := promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	})
	return func(w http.ResponseWriter, r *http.Request) error {
		show.ServeHTTP(w, r)
		return nil
	}
}
