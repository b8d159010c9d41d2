package server

import (
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Contact tells whether a cluster comes as it used to.
type Contact string

const (
	// Never is for one that never polled.
	Never Contact = "never"
	// OnTime is for one that polls.
	OnTime Contact = "ok"
	// Late is for one that has stopped, for all that is known of its rhythm.
	Late Contact = "late"
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
func contactOf(polls []fleet.Poll, sets map[string]int, now time.Time) Contact {
	contact := Never
	for _, p := range polls {
		if _, has := sets[p.Set]; !has {
			continue
		}
		if contact == Never {
			contact = OnTime
		}
		due := max(missedPolls*p.Every, leastLate)
		if p.Every == 0 {
			due = unknownRhythm
		}
		if now.Sub(p.At) > due {
			return Late
		}
	}
	return contact
}

// PollAnswer is a poll with its rhythm as a duration such as 5m0s.
type PollAnswer struct {
	fleet.Poll
	Every string `json:"every,omitempty"`
}

func pollAnswers(polls []fleet.Poll) []PollAnswer {
	var all []PollAnswer
	for _, p := range polls {
		a := PollAnswer{Poll: p}
		if p.Every > 0 {
			a.Every = p.Every.String()
		}
		all = append(all, a)
	}
	return all
}
