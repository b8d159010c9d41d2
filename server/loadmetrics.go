package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/server/limit"
)

// shed registers what tells that there is too much to do. Alerts need the 0 that comes
// before the first.
func (m *metrics) shed(r prometheus.Registerer) {
	counter := func(name, help string, reasons ...string) *prometheus.CounterVec {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"reason"})
		for _, reason := range reasons {
			vec.WithLabelValues(reason)
		}
		r.MustRegister(vec)
		return vec
	}
	m.pollsShed = counter("tributary_polls_shed_total",
		"Polls that were turned away: busy (too many at one time), slow (most of them by slow clients), connections (too many are open), rate (of one credential).",
		limit.ReasonBusy, limit.ReasonSlow, limit.ReasonConnections, limit.ReasonRate)
	m.requestsShed = counter("tributary_requests_shed_total",
		"Other requests that were turned away: busy, slow or rate.", limit.ReasonBusy, limit.ReasonSlow, limit.ReasonRate)
	m.connectionsClosed = counter("tributary_connections_closed_total",
		"Connections that were closed because too many are open: idle, silent (nothing came) or refused (a new one).",
		limit.ClosedIdle, limit.ClosedSilent, limit.ClosedRefused)
}

// load registers how much there is to do now.
func (m *metrics) load(r prometheus.Registerer, s *Server) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("tributary_polls_in_flight", "Polls that are being answered.", func() float64 { return float64(s.polls.InFlight()) })
	gauge("tributary_requests_in_flight", "Other requests that are being answered, but for probes and scrapes; listeners to events are among them.",
		func() float64 { return float64(s.requests.InFlight() + s.hooks.InFlight()) })
	gauge("tributary_connections", "Connections that are open.", func() float64 {
		if l := s.listener.Load(); l != nil {
			return float64(l.Open())
		}
		return 0
	})
}
