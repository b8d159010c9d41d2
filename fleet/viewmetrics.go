package fleet

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// viewCollector tells of what is served at the time of the scrape.
type viewCollector struct{ view func() *View }

var (
	clustersDesc   = describeMetric("tributary_clusters", "Clusters that are served.")
	generationDesc = describeMetric("tributary_generation", "The change log's last change that is served.")
	deltasDesc     = describeMetric("tributary_deltas", "Deltas in force.")
	orphansDesc    = describeMetric("tributary_orphaned_parts", "Parts of deltas that a cluster goes without because they cannot be applied to it any more, over all clusters.")
	statesDesc     = describeMetric("tributary_clusters_by_state", "Clusters by state.", "state")
	behindDesc     = describeMetric("tributary_clusters_behind", "Clusters that stay on an earlier release, or on none, because the live one is not good for them.")
	unservedDesc   = describeMetric("tributary_clusters_unserved", "Clusters whose polls this server answers with 503, because nothing is good for them, or their release cannot be taken up again.")
)

func describeMetric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *viewCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c *viewCollector) Collect(to chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, n int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	v := c.view()
	if v == nil {
		v = &View{} // which serves nothing
	}
	orphans, behind, unserved := 0, 0, 0
	states := map[ClusterState]int{Active: 0, OrphanedState: 0, DecommissionedState: 0}
	for _, m := range v.members.all() {
		orphans += len(m.Orphans)
		if m.lost != nil {
			unserved++
		}
		states[m.State]++
	}
	for _, r := range v.records {
		if r.Stays != nil && !r.Stays.Wave {
			behind++
		}
	}
	tell(clustersDesc, v.members.count)
	tell(generationDesc, int(v.generation))
	tell(deltasDesc, v.deltas.byID.count)
	tell(orphansDesc, orphans)
	tell(behindDesc, behind)
	tell(unservedDesc, unserved)
	for state, n := range states {
		tell(statesDesc, n, string(state))
	}
}

// renders counts the clusters that were rendered, and those of which nothing was another
// than it was.
type renders struct{ rendered, reused atomic.Int64 }

func (r *renders) count(m, before *Member) {
	switch {
	case m.rendering == nil:
	case m.rendering == before.rendering:
		r.reused.Add(1)
	default:
		r.rendered.Add(1)
	}
}

func (r *renders) collectors() []prometheus.Collector {
	counter := func(result string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tributary_cluster_renders_total", Help: "Clusters that changes had rendered, by whether anything was to do (rendered) or all was as before (reused).",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(n.Load()) })
	}
	return []prometheus.Collector{counter("rendered", &r.rendered), counter("reused", &r.reused)}
}
