package fleet

import (
	"slices"
	"time"
)

// Rollout is a release that reaches the fleet wave by wave. Until its last wave it is not the
// live release: the one before is. It is immutable.
//
// 0 ≤ Step < len(Waves), and Step + Part > 0.
type Rollout struct {
	Release ReleaseRef `json:"release"`
	// Waves are resolved to names when the rollout starts, so that a relabelling does not move
	// a cluster between releases. No wave is empty; every cluster is in one wave at most.
	Waves []Wave `json:"waves"`
	// New are the clusters that only this release declares, sorted. It has reached them from
	// the start, and no wave counts them.
	New []string `json:"new,omitempty"`

	RolloutProgress
}

// RolloutProgress is the part of a rollout that changes while it is in progress.
type RolloutProgress struct {
	// Step is how many waves have the release completely, and Part how many clusters of the
	// next wave, in order, have it already.
	Step int `json:"step"`
	Part int `json:"part,omitempty"`
	// Since is when the last step was made, by the change of that Generation.
	Since      time.Time `json:"since"`
	Generation int64     `json:"generation"`
	// Passed is set when somebody skipped or resumed the present wave. Each step clears it.
	Passed bool `json:"passed,omitempty"`
	// Paused is why the rollout does not go on; nil where it does.
	Paused *RolloutPause `json:"paused,omitempty"`
	// Reverted is set when the source went back to the live release. That is decided once,
	// whether the rollout is paused or not.
	Reverted bool `json:"reverted,omitempty"`
	// Approved is the digest of the impact that was approved. It covers every wave that removes
	// no more than that impact does.
	Approved string `json:"approved,omitempty"`
	// Confirmed is the digest of the one impact that a resume or skip confirmed.
	Confirmed string `json:"confirmed,omitempty"`
}

// Wave is some clusters of a rollout, and what must be true before the next wave gets the release.
type Wave struct {
	Name string `json:"name"`
	// Clusters are sorted.
	Clusters []string `json:"clusters,omitempty"`
	// Soak is how long the wave has the release before the next one gets it.
	Soak time.Duration `json:"soak,omitempty"`
	// Manual makes the rollout wait for somebody to resume it after the wave.
	Manual bool `json:"manual,omitempty"`
	// Polled is the share of its clusters, in percent, that must have polled the release.
	Polled int `json:"polled,omitempty"`
}

// RolloutPause is why a rollout is paused.
type RolloutPause struct {
	Reason PauseReason `json:"reason"`
	// Detail says why in a sentence for people.
	Detail string `json:"detail,omitempty"`
	// Impact is the digest of the impact that a resume confirms, and Removes and Reowned are what it
	// takes away; only with PauseGuard.
	Impact  string        `json:"impact,omitempty"`
	Removes []LossGroup   `json:"removes,omitempty"`
	Reowned []ReownedName `json:"reownedNames,omitempty"`
}

// PauseReason is what paused a rollout.
type PauseReason string

const (
	// PauseManual means that a user paused it.
	PauseManual PauseReason = "manual"
	// PauseGuard means that the next wave does more than the guard allows, and more than was approved.
	PauseGuard PauseReason = "guard"
	// PauseInvalid means that the release is not valid for any cluster any more.
	PauseInvalid PauseReason = "invalid"
	// PauseReverted means that the source went back to the live release, and taking the rollout back
	// does more than the guard allows.
	PauseReverted PauseReason = "reverted"
)

// Wave returns the last wave that has the release, the present one.
func (r *Rollout) Wave() *Wave { return &r.Waves[r.Step-1] }

// Reached returns the clusters that the rollout has reached, as a set.
func (r *Rollout) Reached() map[string]bool {
	reached := map[string]bool{}
	for _, name := range r.New {
		reached[name] = true
	}
	for i, w := range r.Waves {
		switch {
		case i < r.Step:
			for _, name := range w.Clusters {
				reached[name] = true
			}
		case i == r.Step:
			for _, name := range w.Clusters[:r.Part] {
				reached[name] = true
			}
		}
	}
	return reached
}

// with returns the rollout with other progress.
func (r *Rollout) with(p RolloutProgress) *Rollout {
	next := *r
	next.RolloutProgress = p
	return &next
}

// without returns the rollout without a cluster that was purged. A wave that becomes empty stays:
// steps are counted.
func (r *Rollout) without(cluster string) *Rollout {
	is := func(name string) bool { return name == cluster }
	next := *r
	next.New = slices.DeleteFunc(slices.Clone(r.New), is)
	next.Waves = slices.Clone(r.Waves)
	for i := range next.Waves {
		w := &next.Waves[i]
		if at := slices.Index(w.Clusters, cluster); at >= 0 {
			w.Clusters = slices.DeleteFunc(slices.Clone(w.Clusters), is)
			if i == next.Step && at < next.Part {
				next.Part--
			}
		}
	}
	return &next
}

// RolloutChange is what became of the rollout: it started, made progress, or ended.
type RolloutChange struct {
	// Started is the new rollout, whole. It replaces one that was in progress.
	Started *Rollout `json:"started,omitempty"`
	// Progress replaces the progress of the one that there is.
	Progress *RolloutProgress `json:"progress,omitempty"`
	// Ended reports that there is none any more.
	Ended bool `json:"ended,omitempty"`
}

// WaveRule is an entry of spec.rollout.waves of fleet.yaml: which clusters a release reaches
// next, and what must be true before the rollout goes on. A cluster is in the first wave that
// selects it. Clusters that no wave selects come last.
type WaveRule struct {
	Name     string
	Selector Selector
	// Soak is how long the wave has the release before the next one gets it.
	Soak time.Duration
	// Manual makes the rollout wait for somebody to resume it after the wave.
	Manual bool
	// Polled is the share of its clusters, in percent, that must have polled the release;
	// DefaultPolled where fleet.yaml does not say.
	Polled int
}

// DefaultPolled is the share of a wave's clusters, in percent, that must have polled the
// release. It is not all of them, because some clusters sleep.
const DefaultPolled = 90
