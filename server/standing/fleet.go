package standing

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
)

// Count counts the clusters of a view by how they stand.
func Count(v *view.View, polls map[string][]fleet.Poll, now time.Time) api.ClusterCounts {
	counts := api.ClusterCounts{Total: len(v.Members())}
	for _, m := range v.Members() {
		s := Of(v, m, polls[m.Cluster.Name], now)
		count := func(n *int, is bool) {
			if is {
				*n++
			}
		}
		count(&counts.Decommissioned, m.State == fleet.ClusterDecommissioned)
		count(&counts.Orphaned, s.Is(Orphaned))
		count(&counts.Late, s.Is(Late))
		count(&counts.Behind, s.Is(Behind))
		count(&counts.Failing, s.Is(Failing))
		count(&counts.NeverPolled, m.State != fleet.ClusterDecommissioned && s.Contact == api.ContactNever)
	}
	return counts
}

// Collector collects metrics of how the fleet stands at the time of a scrape.
type Collector struct {
	// Look returns what is served, the last polls of its clusters and the present time. The view is
	// nil where nothing is served.
	Look func() (*view.View, map[string][]fleet.Poll, time.Time)
}

var (
	lateDesc    = describeMetric("tributary_clusters_late", "Clusters that have missed three polls in a row of a set.")
	neverDesc   = describeMetric("tributary_clusters_never_polled", "Clusters whose Flux Operator has never polled.")
	behindDesc  = describeMetric("tributary_clusters_behind", "Clusters that lack the release that the fleet goes to: they are kept on another one, or have not polled since.")
	failingDesc = describeMetric("tributary_clusters_failing", "Clusters that the release that they should be on is not valid for, or whose polls this server answers with 503.")
)

func describeMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, nil, nil)
}

// newAges returns the histogram of one scrape. The bounds are in seconds, from what a provider that polls
// every minute needs to a week.
func newAges() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tributary_poll_age_seconds",
		Help:    "How long ago the last poll of each set by each cluster was, at the time of the scrape, whichever server answered.",
		Buckets: []float64{60, 120, 300, 600, 900, 1800, 3600, 3 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600},
	})
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{lateDesc, neverDesc, behindDesc, failingDesc} {
		to <- desc
	}
	newAges().Describe(to)
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	var counts api.ClusterCounts
	histogram := newAges()
	if v, polls, now := c.Look(); v != nil {
		counts = Count(v, polls, now)
		for _, age := range ages(v, polls, now) {
			histogram.Observe(age)
		}
	}
	for desc, value := range map[*prometheus.Desc]int{lateDesc: counts.Late, neverDesc: counts.NeverPolled, behindDesc: counts.Behind, failingDesc: counts.Failing} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value))
	}
	histogram.Collect(to)
}

// ages returns in seconds how long ago each set of each cluster was polled that is not decommissioned.
func ages(v *view.View, polls map[string][]fleet.Poll, now time.Time) (all []float64) {
	for _, m := range v.Members() {
		if m.State == fleet.ClusterDecommissioned {
			continue
		}
		for _, p := range polls[m.Cluster.Name] {
			if !p.IsByHand() && m.HasSet(p.Set) {
				all = append(all, max(0, now.Sub(p.At).Seconds()))
			}
		}
	}
	return all
}
