package server

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what the server counts. No label takes a value that a client can
// make up.
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
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_http_requests_total", Help: "Requests other than polls by method, route and status; the route is empty where there is none.",
		}, []string{"method", "route", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tributary_http_request_duration_seconds", Help: "Time to answer requests other than polls, by method and route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"method", "route"}),
		failedAuthentications: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_authentication_failures_total",
			Help: "Requests with a credential that is not good, by kind: token, ended (revoked or expired), too_long, jwt or certificate.",
		}, []string{"kind"}),
		reloadFailing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tributary_reload_failing", Help: "1 while a file cannot be used as it is and what was read before is kept.",
		}, []string{"file"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_webhooks_total", Help: "Webhooks by provider and result: look, ignored, repeated or refused.",
		}, []string{"provider", "result"}),
	}
	for _, kind := range []string{"token", "ended", "too_long", "jwt", "certificate"} {
		m.failedAuthentications.WithLabelValues(kind) // an alert needs the 0 that comes before the first
	}
	m.polls.init(r)
	m.shed(r)
	r.MustRegister(m.requests, m.durations, m.failedAuthentications, m.reloadFailing, m.webhooks)
	return m
}

func (m *metrics) served(rt route, status int, took time.Duration) {
	m.requests.WithLabelValues(rt.method, rt.path, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(rt.method, rt.path).Observe(took.Seconds())
}

// getMetrics shows the registry, which holds the fleet's metrics as well.
func (s *Server) getMetrics() handler {
	show := promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelError),
	})
	return func(w http.ResponseWriter, r *http.Request) error {
		show.ServeHTTP(w, r)
		return nil
	}
}
