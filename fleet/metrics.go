package fleet

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator of Tributary alerts on: is the source answering,
// is what it holds what is served, and how old is that.
type metrics struct {
	fetch, render *prometheus.HistogramVec
	info          *prometheus.GaugeVec
	since         prometheus.Gauge
	clusters      prometheus.Gauge
	failing       prometheus.Gauge
	failures      *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	seconds := []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 15, 60}
	m := &metrics{
		fetch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tributary_source_fetch_duration_seconds", Help: "Looks at the source, by result.", Buckets: seconds,
		}, []string{"result"}),
		render: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tributary_render_duration_seconds", Help: "Rendering and checking a revision for all clusters, by result.", Buckets: seconds,
		}, []string{"result"}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tributary_live_release_info", Help: "1 for the revision that is served.",
		}, []string{"revision"}),
		since: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_live_release_timestamp_seconds", Help: "When the revision that is served went live, in Unix time.",
		}),
		clusters: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_clusters", Help: "Clusters that are served.",
		}),
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_release_failing", Help: "1 while the source's present revision has a fault and an older one, or none, is served.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_failures_total", Help: "Looks at the source that gave no answer (fetch) and revisions with a fault, found by the source or by rendering (render).",
		}, []string{"stage"}),
	}
	// Counters that do not exist until they first count cannot be alerted on.
	m.failures.WithLabelValues("fetch")
	m.failures.WithLabelValues("render")
	if r != nil {
		r.MustRegister(m.fetch, m.render, m.info, m.since, m.clusters, m.failing, m.failures)
	}
	return m
}

func (m *metrics) fetched(took time.Duration, err error) {
	if err != nil {
		m.failures.WithLabelValues("fetch").Inc()
	}
	m.fetch.WithLabelValues(result(err == nil)).Observe(took.Seconds())
}

func (m *metrics) rendered(took time.Duration, good bool) {
	m.render.WithLabelValues(result(good)).Observe(took.Seconds())
}

func (m *metrics) failed(is bool) {
	m.failing.Set(0)
	if is {
		m.failing.Set(1)
	}
}

func (m *metrics) live(r Release) {
	m.info.Reset()
	m.info.WithLabelValues(strings.ToValidUTF8(r.Revision, "\uFFFD")).Set(1)
	m.since.Set(float64(r.At.Unix()))
	m.clusters.Set(float64(r.Clusters))
}

func result(good bool) string {
	if good {
		return "ok"
	}
	return "failed"
}
