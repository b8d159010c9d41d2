// Package metrics has the Prometheus metrics of a controller: what an operator of Tributary alerts on.
// They say whether the source answers, whether what it holds is served, how old that is, and how writes
// fare. Metrics of what is served are collected from the view at each scrape.
package metrics

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller/lock"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Metrics are the metrics of one controller. Without a registerer they count for nobody.
type Metrics struct {
	fetch, render *prometheus.HistogramVec
	info          *prometheus.GaugeVec
	since         prometheus.Gauge
	failing       prometheus.Gauge
	failures      *prometheus.CounterVec
	overdue       prometheus.Gauge
	writes        *prometheus.CounterVec
	storeErrors   prometheus.Counter
	logLost       prometheus.Gauge
	waiting       prometheus.Gauge
	waited, swap  prometheus.Histogram
	slow          *prometheus.CounterVec
	leading       prometheus.Gauge
	held, losing  prometheus.Gauge
	rollout       *prometheus.GaugeVec
}

// New returns metrics, and registers them where r is not nil. Current returns what is served, or nil.
func New(r prometheus.Registerer, current func() *view.View, renders *view.Renders) *Metrics {
	seconds := []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 15, 60}
	m := &Metrics{
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
			Name: "tributary_release_failing", Help: "1 while the source's present revision has a fault and an older revision, or none, is served.",
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_failures_total", Help: "Looks at the source without an answer (fetch), and revisions with a fault, found by the source or by rendering (render).",
		}, []string{"stage"}),
		overdue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_overdue_deltas", Help: "Deltas and pins that have expired and stay in force, because without them the rest could not be served, or that would do more than the guard allows.",
		}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_writes_total", Help: "Writes that were requested, by result.",
		}, []string{"result"}),
		leading: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_leader", Help: "1 while this server leads, that is, follows the source.",
		}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_release_held", Help: "1 while the source's present revision waits for a decision, because it does more than the guard allows.",
		}),
		losing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_release_held_removed_inputs", Help: "Inputs that clusters would lose with the held release.",
		}),
		rollout: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tributary_rollout_waves", Help: "Waves of the rollout in progress, by whether they have the release (reached, waiting). There are none without a rollout.",
		}, []string{"state"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_writes_waiting", Help: "Changes that wait for others.",
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tributary_write_wait_seconds", Help: "How long changes waited, for their turn and for the lock.", Buckets: seconds,
		}),
		swap: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tributary_swap_duration_seconds", Help: "How long a change held the writer's lock, until it was kept and served.", Buckets: seconds,
		}),
		slow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tributary_slow_changes_total", Help: "Reports of changes that take longer than 5 s, by what they were doing: rendering, waiting (for others) or locked (keeping all others waiting).",
		}, []string{"stage"}),
		logLost: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tributary_change_log_lost", Help: "1 once this server serves a generation that the change log no longer has, until it restarts.",
		}),
		storeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tributary_store_errors_total", Help: "Changes that the change log did not accept.",
		}),
	}
	// A counter that does not exist before it counts cannot be alerted on.
	m.failures.WithLabelValues("fetch")
	m.failures.WithLabelValues("render")
	for _, s := range lock.Stages {
		m.slow.WithLabelValues(string(s))
	}
	if r != nil {
		r.MustRegister(m.fetch, m.render, m.info, m.since, m.failing, m.failures,
			m.overdue, m.writes, m.leading, m.held, m.losing, m.rollout, m.storeErrors, m.logLost, m.waiting, m.waited, m.swap, m.slow)
		r.MustRegister(&viewCollector{current})
		r.MustRegister(renderCounter("rendered", &renders.Rendered), renderCounter("reused", &renders.Reused))
	}
	return m
}

// ObserveFetch observes a look at the source.
func (m *Metrics) ObserveFetch(took time.Duration, err error) {
	if err != nil {
		m.failures.WithLabelValues("fetch").Inc()
	}
	m.fetch.WithLabelValues(result(err == nil)).Observe(took.Seconds())
}

// ObserveEvaluation observes the rendering and checking of a revision for all clusters.
func (m *Metrics) ObserveEvaluation(took time.Duration, valid bool) {
	m.render.WithLabelValues(result(valid)).Observe(took.Seconds())
}

// SetReleases sets what there is beside the live release: a failed one, a held one, or a rollout.
func (m *Metrics) SetReleases(failed, held *fleet.Release, r *fleet.Rollout) {
	m.failing.Set(number(failed != nil))
	m.held.Set(number(held != nil))
	m.losing.Set(0)
	if held != nil && held.Impact != nil {
		m.losing.Set(float64(held.Impact.Removed + held.Impact.Moved))
	}
	if r == nil {
		m.rollout.Reset()
	} else {
		m.rollout.WithLabelValues("reached").Set(float64(r.Step))
		m.rollout.WithLabelValues("waiting").Set(float64(len(r.Waves) - r.Step))
	}
}

func number(set bool) float64 {
	if set {
		return 1
	}
	return 0
}

// SetLive sets what is served from now on. What takes a look at every cluster is left to viewCollector:
// there may be a hundred writes between two scrapes.
func (m *Metrics) SetLive(v *view.View) {
	m.info.Reset()
	m.info.WithLabelValues(strings.ToValidUTF8(v.Live().Ref.Revision, "\uFFFD")).Set(1)
	m.since.Set(float64(v.Release().At.Unix()))
}

// Wait observes how long a change waits for others.
func (m *Metrics) Wait(forOthers func() error) error {
	asked := time.Now()
	m.waiting.Inc()
	err := forOthers()
	m.waiting.Dec()
	m.waited.Observe(time.Since(asked).Seconds())
	return err
}

// Lock waits for the writer's lock, and returns the function that unlocks it.
func (m *Metrics) Lock(ctx context.Context, work *lock.Work) (unlock func(), err error) {
	if err := m.Wait(func() error { return work.Lock(ctx) }); err != nil {
		return nil, err
	}
	begun := time.Now()
	return func() {
		work.Unlock()
		m.swap.Observe(time.Since(begun).Seconds())
	}, nil
}

// CountWrite counts what came of a write.
func (m *Metrics) CountWrite(dryRun bool, err error) {
	switch {
	case err == nil && dryRun:
		m.writes.WithLabelValues("dry_run").Inc()
	case errors.Is(err, fleet.ErrStore):
		m.writes.WithLabelValues("not_kept").Inc()
	case err != nil:
		m.writes.WithLabelValues("refused").Inc()
	default:
		m.writes.WithLabelValues("ok").Inc()
	}
}

func result(ok bool) string {
	if ok {
		return "ok"
	}
	return "failed"
}

// viewCollector collects metrics of what is served at the time of the scrape.
type viewCollector struct{ current func() *view.View }

var (
	clustersDesc   = describeMetric("tributary_clusters", "Clusters that are served.")
	generationDesc = describeMetric("tributary_generation", "The generation that is served: the number of the last change.")
	deltasDesc     = describeMetric("tributary_deltas", "Deltas in force.")
	staleDesc      = describeMetric("tributary_orphaned_parts", "Parts of deltas that no longer apply to a cluster, over all clusters.")
	statesDesc     = describeMetric("tributary_clusters_by_state", "Clusters by state.", "state")
	unservedDesc   = describeMetric("tributary_clusters_unserved", "Clusters whose polls this server answers with 503, because no release is valid for them, or their release cannot be loaded.")
)

func describeMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *viewCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c *viewCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	states := map[fleet.ClusterState]int{fleet.ClusterActive: 0, fleet.ClusterOrphaned: 0, fleet.ClusterDecommissioned: 0}
	clusters, generation, deltas, stale, unserved := 0, 0, 0, 0, 0
	if v := c.current(); v != nil {
		s := v.State()
		clusters, generation, deltas = len(v.Members()), int(s.Generation), s.Deltas.Len()
		for _, m := range v.Members() {
			stale += len(m.Stale)
			if m.Unavailable() != nil {
				unserved++
			}
			states[m.State]++
		}
	}
	gauge(clustersDesc, clusters)
	gauge(generationDesc, generation)
	gauge(deltasDesc, deltas)
	gauge(staleDesc, stale)
	gauge(unservedDesc, unserved)
	for state, n := range states {
		gauge(statesDesc, n, string(state))
	}
}

func renderCounter(result string, n *atomic.Int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "tributary_cluster_renders_total", Help: "Clusters that changes had rendered, by whether anything was made (rendered) or all was as before (reused).",
		ConstLabels: prometheus.Labels{"result": result},
	}, func() float64 { return float64(n.Load()) })
}

// CountFailure counts a revision with a fault.
func (m *Metrics) CountFailure() { m.failures.WithLabelValues("render").Inc() }

// CountStoreError counts a change that the change log did not accept.
func (m *Metrics) CountStoreError() { m.storeErrors.Inc() }

// CountSlow counts the report of a change that takes long.
func (m *Metrics) CountSlow(s lock.Stage) { m.slow.WithLabelValues(string(s)).Inc() }

// SetOverdue sets how many deltas and pins have expired and stay in force.
func (m *Metrics) SetOverdue(n int) { m.overdue.Set(float64(n)) }

// SetLogLost sets that the log no longer has what is served.
func (m *Metrics) SetLogLost() { m.logLost.Set(1) }

// SetLeading sets whether this server leads.
func (m *Metrics) SetLeading(leading bool) { m.leading.Set(number(leading)) }
