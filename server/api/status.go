package api

import (
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Status is the fleet at a glance.
type Status struct {
	// Generation is the one that is served; 0 before the first release.
	Generation int64  `json:"generation"`
	Source     Source `json:"source"`
	// Live is the release of the fleet, RollingOut the one that reaches it wave by wave, and Held or
	// Failed the newest one, where it is not served. Each is absent where there is none.
	Live       *ReleaseSummary `json:"live,omitempty"`
	RollingOut *ReleaseSummary `json:"rollingOut,omitempty"`
	Held       *ReleaseSummary `json:"held,omitempty"`
	Failed     *ReleaseSummary `json:"failed,omitempty"`
	Clusters   ClusterCounts   `json:"clusters"`
	// Overdue is how many deltas and pins have expired and stay in force.
	Overdue int `json:"overdue"`
	// Attention is what a person has to look at.
	Attention []Attention `json:"attention"`
}

// ReleaseSummary is what the status says of a release.
type ReleaseSummary struct {
	ReleaseRef
	// At is when it entered its state.
	At time.Time `json:"at"`
	// Failing is how many clusters it is not valid for.
	Failing int `json:"failing,omitempty"`
	// Why is the first reason why it is held or failed.
	Why     string               `json:"why,omitempty"`
	Rollout *fleet.RolloutStatus `json:"rollout,omitempty"`
}

// ClusterCounts count clusters. Decommissioned ones count in Total and Decommissioned alone.
type ClusterCounts struct {
	Total          int `json:"total"`
	Decommissioned int `json:"decommissioned"`
	// Late have missed three polls in a row of a set, and NeverPolled are those whose Flux Operator
	// has never polled.
	Late        int `json:"late"`
	NeverPolled int `json:"neverPolled"`
	// Behind lack the release that the fleet goes to.
	Behind int `json:"behind"`
	// Failing are those that the release that they should be on is not valid for, or whose polls are
	// answered 503.
	Failing int `json:"failing"`
	// Orphaned are those whose file has vanished.
	Orphaned int `json:"orphaned"`
}

// Attention is something that a person has to look at.
type Attention string

// What a person has to look at.
const (
	AttentionNotReady Attention = "not-ready" // no release is live
	AttentionSource   Attention = "source"    // the source cannot be read
	AttentionHeld     Attention = "held"      // a release waits for a decision
	AttentionFailed   Attention = "failed"    // the newest revision has a fault
	AttentionPaused   Attention = "paused"    // the rollout is paused
	AttentionWaiting  Attention = "waiting"   // the rollout waits for somebody to resume it
	AttentionFailing  Attention = "failing"   // clusters are failing
	AttentionLate     Attention = "late"      // clusters are late
	AttentionOrphaned Attention = "orphaned"  // clusters are orphaned
	AttentionOverdue  Attention = "overdue"   // deltas or pins cannot be withdrawn
)

// NeedsAttention returns what a person has to look at, the most urgent first. Clusters that are behind
// or have never polled are none of that: a rollout, a pin or a new machine is the usual reason.
func (s *Status) NeedsAttention() []Attention {
	phase := fleet.Phase("")
	if s.RollingOut != nil && s.RollingOut.Rollout != nil {
		phase = s.RollingOut.Rollout.Phase
	}
	all := []Attention{}
	for _, one := range []struct {
		what Attention
		is   bool
	}{
		{AttentionNotReady, s.Live == nil}, {AttentionSource, s.Source.Error != ""}, {AttentionHeld, s.Held != nil},
		{AttentionFailed, s.Failed != nil}, {AttentionPaused, phase == fleet.Paused}, {AttentionWaiting, phase == fleet.Waiting},
		{AttentionFailing, s.Clusters.Failing > 0}, {AttentionLate, s.Clusters.Late > 0}, {AttentionOrphaned, s.Clusters.Orphaned > 0},
		{AttentionOverdue, s.Overdue > 0},
	} {
		if one.is {
			all = append(all, one.what)
		}
	}
	return all
}
