package fleet

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator of Tributary alerts on: is the source answering,
// is what it holds what is served, and how old is that.
type metrics struct {
	fetch, render *prometheus.HistogramVec
	info          *prometheus.GaugeVec
	since         prometheus.Gauge
	failing       prometheus.Gauge
	failures      *prometheus.CounterVec
	overdue       prometheus.Gauge
	writes        *prometheus.CounterVec
	storeErrors   prometheus.Counter
	waiting       prometheus.Gauge
	waited, swap  prometheus.Histogram
	leading       prometheus.Gauge
	held, losing  prometheus.Gauge
	rollout       *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer, view func() *View, renders *renders) *metrics {
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
		failing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_release_failing", Help: "1 while the source's present revision has a fault and an older one, or none, is served.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_failures_total", Help: "Looks at the source that gave no answer (fetch) and revisions with a fault, found by the source or by rendering (render).",
		}, []string{"stage"}),
		overdue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_overdue_deltas", Help: "Deltas and pins that have expired and stay in force, because what is left without them could not be served or takes away more than the guard allows.",
		}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_writes_total", Help: "Changes of deltas that were asked for, by result.",
		}, []string{"result"}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_leader", Help: "1 while this server is the one that follows the source.",
		}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_release_held", Help: "1 while the source's present revision waits for a decision, because it takes away more than the guard allows.",
		}),
		losing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_release_held_removed_inputs", Help: "Inputs that clusters would lose with the release that is held.",
		}),
		rollout: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tributary_rollout_waves", Help: "Waves of the rollout in progress, by whether they have the release (reached, waiting); none without one.",
		}, []string{"state"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_writes_waiting", Help: "Writes that wait for their turn; there is one writer at a time.",
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tributary_write_wait_seconds", Help: "How long writes waited for their turn.", Buckets: seconds,
		}),
		swap: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tributary_swap_duration_seconds", Help: "How long changes kept others waiting, from their turn until they were served or refused.", Buckets: seconds,
		}),
		storeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tributary_store_errors_total", Help: "Changes that the change log did not take.",
		}),
	}
	// Counters that do not exist until they first count cannot be alerted on.
	m.failures.WithLabelValues("fetch")
	m.failures.WithLabelValues("render")
	if r != nil {
		r.MustRegister(m.fetch, m.render, m.info, m.since, m.failing, m.failures,
			m.overdue, m.writes, m.leading, m.held, m.losing, m.rollout, m.storeErrors, m.waiting, m.waited, m.swap)
		r.MustRegister(&viewCollector{view: view})
		r.MustRegister(renders.collectors()...)
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

// released tells of the releases that the fleet is not on yet.
func (m *metrics) released(failed, held *Release, r *Rollout) {
	m.failing.Set(number(failed != nil))
	m.held.Set(number(held != nil))
	m.losing.Set(0)
	if held != nil && held.Impact != nil {
		m.losing.Set(float64(held.Impact.Removed + held.Impact.Moved))
	}
	m.rollout.Reset()
	if r != nil {
		m.rollout.WithLabelValues("reached").Set(float64(r.Reached))
		m.rollout.WithLabelValues("waiting").Set(float64(len(r.Waves) - r.Reached))
	}
}

func (m *metrics) leads(is bool) { m.leading.Set(number(is)) }

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// published tells of a view that is served from now on. What takes a look at every cluster
// is left to viewCollector: there may be a hundred writes between two scrapes.
func (m *metrics) published(v *View) {
	m.info.Reset()
	m.info.WithLabelValues(strings.ToValidUTF8(v.base.release.Revision, "\uFFFD")).Set(1)
	m.since.Set(float64(v.Release().At.Unix()))
}

// turn waits for the lock, and returns what gives it back.
func (m *metrics) turn(mu *sync.Mutex) (done func()) {
	asked := time.Now()
	m.waiting.Inc()
	mu.Lock()
	m.waiting.Dec()
	begun := time.Now()
	m.waited.Observe(begun.Sub(asked).Seconds())
	return func() {
		mu.Unlock()
		m.swap.Observe(time.Since(begun).Seconds())
	}
}

// wrote counts what came of a write.
func (m *metrics) wrote(dryRun bool, err error) {
	switch {
	case err == nil && dryRun:
		m.writes.WithLabelValues("dry_run").Inc()
	case errors.Is(err, ErrStore):
		m.writes.WithLabelValues("not_kept").Inc()
	case err != nil:
		m.writes.WithLabelValues("refused").Inc()
	default:
		m.writes.WithLabelValues("ok").Inc()
	}
}

func result(good bool) string {
	if good {
		return "ok"
	}
	return "failed"
}
