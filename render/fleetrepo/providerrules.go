package fleetrepo

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// providerRule is an entry of spec.providers, the document form of fleet.ProviderRule.
type providerRule struct {
	Selector       *fleet.Selector `json:"selector"`
	ReconcileEvery duration        `json:"reconcileEvery"`
	Schedule       []scheduleEntry `json:"schedule"`
}

// scheduleEntry has the fields of a provider's spec.schedule.
type scheduleEntry struct {
	Cron     string   `json:"cron"`
	TimeZone string   `json:"timeZone"`
	Window   duration `json:"window"`
}

func (r *providerRule) compile(d *document, path string) fleet.ProviderRule {
	rule := fleet.ProviderRule{Selector: labels.Nothing(), Every: time.Duration(r.ReconcileEvery)}
	if r.Selector == nil {
		d.problem(path+".selector", "must say which clusters the rule is for; {} means all that are left")
	} else {
		rule.Selector = compileSelector(d, path+".selector", *r.Selector)
	}
	if r.ReconcileEvery == 0 && len(r.Schedule) == 0 {
		d.problem(path, "must have reconcileEvery, schedule, or both")
	}
	for i, e := range r.Schedule {
		s, err := fleet.NewSchedule(e.Cron, e.TimeZone, time.Duration(e.Window))
		if err != nil {
			d.problem(FieldIndex(path+".schedule", i), "%v", err)
			continue
		}
		rule.Schedule = append(rule.Schedule, s)
	}
	return rule
}
