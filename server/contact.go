package server

import (
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Three polls may be missed before a cluster is late: one fails now and then. For
// that to be told it must be a minute at least, and where no rhythm is known an hour.
const (
	missedPolls   = 3
	leastLate     = time.Minute
	unknownRhythm = time.Hour
)

// contactOf looks at the sets that a cluster has; what it once polled and is not
// there any more it does not poll.
func contactOf(polls []fleet.Poll, sets map[string]int, now time.Time) api.Contact {
	contact := api.ContactNever
	for _, p := range polls {
		if _, has := sets[p.Set]; !has {
			continue
		}
		if contact == api.ContactNever {
			contact = api.ContactOK
		}
		due := max(missedPolls*p.Every, leastLate)
		if p.Every == 0 {
			due = unknownRhythm
		}
		if now.Sub(p.At) > due {
			return api.ContactLate
		}
	}
	return contact
}

func pollAnswers(polls []fleet.Poll) []api.Poll {
	var all []api.Poll
	for _, p := range polls {
		a := api.Poll{Poll: p}
		if p.Every > 0 {
			a.Every = p.Every.String()
		}
		all = append(all, a)
	}
	return all
}
