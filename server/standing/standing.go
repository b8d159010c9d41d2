// Package standing judges clusters by what they are served and by what their Flux Operators polled:
// who is late, behind, failing or orphaned.
//
//	s := standing.Of(view, member, polls, time.Now())
//	if s.Is(standing.Late) { ... }
//	s.Describe(&cluster) // the fields of the API's document
//
// Only polls of Flux Operator count. It keeps nothing, and asks nobody.
package standing

import (
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
)

// Kind is something that a cluster may be, beside others.
type Kind string

const (
	// Late means that the cluster has stopped to poll a set that it is served.
	Late Kind = "late"
	// Behind means that the cluster is on another release than the one that the fleet goes to, or
	// that its last poll got another one.
	Behind Kind = "behind"
	// Failing means that the release that the cluster should be on is not valid for it, or that its
	// polls are answered 503.
	Failing Kind = "failing"
	// Orphaned means that the cluster's file has vanished.
	Orphaned Kind = "orphaned"
)

// Kinds are all kinds. The API has a query parameter for each.
var Kinds = []Kind{Late, Behind, Failing, Orphaned}

// Standing is how one cluster stands. A decommissioned cluster is expected to stop polling, and is of
// no kind.
type Standing struct {
	Contact api.Contact
	polls   []fleet.Poll
	kinds   map[Kind]bool
}

// Of returns the standing of a member of a view, from its last polls.
func Of(v *view.View, m *view.Member, polls []fleet.Poll, now time.Time) Standing {
	s := Standing{Contact: contactOf(polls, m.HasSet, now), polls: polls}
	if m.State == fleet.ClusterDecommissioned {
		if s.Contact == api.ContactLate {
			s.Contact = api.ContactOK
		}
		return s
	}
	row := v.State().Assignments[m.Cluster.Name]
	s.kinds = map[Kind]bool{
		Late:     s.Contact == api.ContactLate,
		Behind:   isBehind(v, m, polls),
		Failing:  m.Unavailable() != nil || row != nil && row.Reason == fleet.ReasonFailing,
		Orphaned: m.State == fleet.ClusterOrphaned,
	}
	return s
}

// Is reports whether the cluster is of all of these kinds.
func (s Standing) Is(kinds ...Kind) bool {
	for _, k := range kinds {
		if !s.kinds[k] {
			return false
		}
	}
	return true
}

// Describe sets the fields of a document that follow from the standing.
func (s Standing) Describe(c *api.Cluster) {
	c.Contact, c.Behind, c.Failing = s.Contact, s.Is(Behind), s.Is(Failing)
	for _, p := range s.polls {
		answer := api.Poll{Poll: p}
		if p.Every > 0 {
			answer.Every = p.Every.String()
		}
		if p.IsByHand() {
			c.PollsByHand = append(c.PollsByHand, answer)
		} else {
			c.Polls = append(c.Polls, answer)
		}
	}
}

// isBehind reports whether a cluster lacks the release that the fleet goes to. One that has never
// polled lacks it where it is not served it.
func isBehind(v *view.View, m *view.Member, polls []fleet.Poll) bool {
	goal := v.Live().Ref
	if r := v.State().Rollout; r != nil {
		goal = r.Release
	}
	if m.Release() != goal {
		return true
	}
	for _, p := range polls {
		if !p.IsByHand() && m.HasSet(p.Set) && p.Release != goal.ID() {
			return true
		}
	}
	return false
}

// A cluster is late after three missed polls, because one fails now and then. It is late after a
// minute at the earliest, and after an hour if its interval is not known.
const (
	missedPolls     = 3
	minLate         = time.Minute
	unknownInterval = time.Hour
)

// contactOf concludes from a cluster's polls whether it still polls. It ignores polls of sets that
// the cluster no longer has.
func contactOf(polls []fleet.Poll, isServed func(set string) bool, now time.Time) api.Contact {
	contact := api.ContactNever
	for _, p := range polls {
		if p.IsByHand() || !isServed(p.Set) {
			continue
		}
		if contact == api.ContactNever {
			contact = api.ContactOK
		}
		late := max(missedPolls*p.Every, minLate)
		if p.Every == 0 {
			late = unknownInterval
		}
		if now.Sub(p.At) > late {
			return api.ContactLate
		}
	}
	return contact
}
