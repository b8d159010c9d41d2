package fleet

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/labels"
)

// ProviderRule is an entry of spec.providers of fleet.yaml: how often the providers of some clusters
// poll. The first rule that selects a cluster is the one that counts.
type ProviderRule struct {
	Selector labels.Selector
	// Every is the annotation reconcileEvery of the providers; 0 where the rule does not say.
	Every time.Duration
	// Schedule is the providers' spec.schedule. Without one they poll at any time.
	Schedule []Schedule
}

// Schedule is an entry of a provider's spec.schedule, as Flux Operator understands it: a poll at the
// times of Cron and, with a Window, others until the window ends.
type Schedule struct {
	Cron     string
	TimeZone string // of the tz database; empty for UTC
	Window   time.Duration

	times cron.Schedule
}

// NewSchedule returns a schedule. The error says what is wrong with the cron expression, the time zone
// or the window.
func NewSchedule(expression, timeZone string, window time.Duration) (Schedule, error) {
	zone := timeZone
	if zone == "" {
		zone = "UTC"
	}
	if _, err := time.LoadLocation(zone); err != nil {
		return Schedule{}, fmt.Errorf("time zone %q: is unknown", timeZone)
	}
	if window != 0 && window < 2*providerTimeout {
		return Schedule{}, fmt.Errorf("window %s: must be 0 or at least %s, or Flux Operator refuses the provider", window, 2*providerTimeout)
	}
	times, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse("CRON_TZ=" + zone + " " + expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("cron %q: is no cron expression of five fields, such as 0 8 * * 1-5", expression)
	}
	return Schedule{Cron: expression, TimeZone: timeZone, Window: window, times: times}, nil
}

// providerTimeout is how long Flux Operator gives a poll by default. It begins none that may still go on
// when the window ends.
const providerTimeout = 5 * time.Minute

// NextPoll returns when a provider that polled at a time polls next, where it polls at that interval. It
// is zero where its schedule has no time left.
func (r *ProviderRule) NextPoll(at time.Time, every time.Duration) time.Time {
	next := at.Add(every)
	if r == nil || len(r.Schedule) == 0 {
		return next
	}
	var first time.Time
	for _, s := range r.Schedule {
		// The window that next is in began after this time.
		if began := next.Add(providerTimeout - s.Window); s.Window > 0 && !s.times.Next(began).After(next) {
			return next
		}
		if t := s.times.Next(at); first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}
