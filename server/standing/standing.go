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

	"k8s.io/apimachinery/pkg/labels"

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
	s := Standing{Contact: contactOf(polls, m.HasSet, ruleOf(m), now), polls: polls}
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
// minute at the earliest, and after an hour if its interval is not known. The interval is what it
// usually is or what fleet.yaml says, whichever is longer.
const (
	missedPolls     = 3
	minLate         = time.Minute
	unknownInterval = time.Hour
	defaultInterval = 10 * time.Minute // of Flux Operator
)

// contactOf concludes from a cluster's polls whether it still polls. It ignores polls of sets that
// the cluster no longer has.
func contactOf(polls []fleet.Poll, isServed func(set string) bool, rule *fleet.ProviderRule, now time.Time) api.Contact {
	contact := api.ContactNever
	for _, p := range polls {
		if p.IsByHand() || !isServed(p.Set) {
			continue
		}
		if contact == api.ContactNever {
			contact = api.ContactOK
		}
		if now.After(lateAt(p, rule)) {
			return api.ContactLate
		}
	}
	return contact
}

// lateAt returns when a set that was polled counts as late.
func lateAt(p fleet.Poll, rule *fleet.ProviderRule) time.Time {
	every := p.Every
	if rule != nil {
		every = max(every, rule.Every)
	}
	if every == 0 {
		if rule == nil || len(rule.Schedule) == 0 {
			return p.At.Add(unknownInterval)
		}
		every = defaultInterval
	}
	at := p.At
	for range missedPolls {
		if at = rule.NextPoll(at, every); at.IsZero() { // the schedule has no time left
			return p.At.AddDate(1000, 0, 0)
		}
	}
	return maxTime(at, p.At.Add(minLate))
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ruleOf returns what fleet.yaml says of the providers of a member; nil where it says nothing.
func ruleOf(m *view.Member) *fleet.ProviderRule {
	repo := m.Repo()
	if repo == nil {
		return nil
	}
	rules := repo.Providers()
	for i := range rules {
		if rules[i].Selector.Matches(labels.Set(m.Cluster.Labels)) {
			return &rules[i]
		}
	}
	return nil
}
