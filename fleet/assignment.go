package fleet

import (
	"slices"
	"time"
)

// Reason is why a cluster is not simply on the live release.
type Reason string

const (
	// ReasonRollout means that the rollout in progress has reached the cluster.
	ReasonRollout Reason = "rollout"
	// ReasonSuperseded means that the cluster got its release from a rollout that a newer release took
	// over. It stays until a wave of the newer one reaches it.
	ReasonSuperseded Reason = "superseded"
	// ReasonPinned means that a pin keeps the cluster on the release.
	ReasonPinned Reason = "pinned"
	// ReasonFailing means that the release that the cluster should be on is not valid for it.
	ReasonFailing Reason = "failing"
	// ReasonOrphaned means that the file of the cluster has vanished. It stays on the release it was on.
	ReasonOrphaned Reason = "orphaned"
)

// Assignment is the row of one cluster that is not simply on the live release. It is immutable.
//
// The release of a row is stored, or zero. A cluster without a row is in the files of the live
// release or declared through the API. No Failing row is on the release that the cluster should
// be on. A tombstone has no row but the one that it keeps itself.
type Assignment struct {
	Cluster string `json:"cluster"`
	// Release is what the cluster is served. Zero means that no release is valid for it yet;
	// polls answer 503.
	Release ReleaseRef `json:"release"`
	Reason  Reason     `json:"reason"`
	// Detail is the pin's name, or the first fault.
	Detail string `json:"detail,omitempty"`
	// Spec is what the cluster's file said last. It is set only where neither Release nor the
	// live release has a readable file, or where Release has none and what the live release's
	// file says is not valid for the cluster there.
	Spec *ClusterSpec `json:"spec,omitempty"`
	// Since is the generation of the change that put the cluster there.
	Since int64 `json:"since"`
	// Previous is the Superseded or Failing row that this row covers. It is one deep: Previous
	// of Previous is nil.
	Previous *Assignment `json:"previous,omitempty"`
}

// ClusterSpec is what a cluster's file said last, kept in the log because no release that is
// at hand has the file any more.
type ClusterSpec struct {
	File       string            `json:"file"`
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Overlay    string            `json:"overlay,omitempty"`
	Components []string          `json:"components,omitempty"`
	// Resources are whole objects, one YAML document each.
	Resources []string `json:"resources,omitempty"`
	Patches   []Patch  `json:"patches,omitempty"`
}

// SpecOf returns the spec of a cluster that was read from a file.
func SpecOf(c *Cluster) *ClusterSpec {
	s := &ClusterSpec{File: c.File, DNS: c.DNS, Labels: c.Labels, Overlay: c.Overlay, Components: c.Components}
	for _, r := range c.Resources {
		s.Resources = append(s.Resources, r.YAML)
	}
	for _, p := range c.Patches {
		p.Line = 0 // of a file that is gone; the store does not have it either
		s.Patches = append(s.Patches, p)
	}
	return s
}

// Named returns the spec as the cluster of that name.
func (s *ClusterSpec) Named(name string) *Cluster {
	c := &Cluster{Name: name, File: s.File, DNS: s.DNS, Labels: s.Labels, Overlay: s.Overlay, Components: s.Components, Patches: s.Patches}
	for _, text := range s.Resources {
		c.Resources = append(c.Resources, Resource{YAML: text, JSON: s.File == ""}) // a declaration's are JSON
	}
	return c
}

// AssignmentChange is what became of one cluster's row; nil stands for none.
type AssignmentChange struct {
	Cluster string      `json:"cluster"`
	Before  *Assignment `json:"before,omitempty"`
	After   *Assignment `json:"after,omitempty"`
}

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
	// Impact is the digest of the impact that a resume confirms; only with PauseGuard.
	Impact string `json:"impact,omitempty"`
}

// PauseReason is what paused a rollout.
type PauseReason string

const (
	// PauseManual means that a user paused it.
	PauseManual PauseReason = "manual"
	// PauseGuard means that the next wave removes more than the guard allows, and more than was approved.
	PauseGuard PauseReason = "guard"
	// PauseInvalid means that the release is not valid for any cluster any more.
	PauseInvalid PauseReason = "invalid"
	// PauseReverted means that the source went back to the live release, and taking the rollout back
	// removes more than the guard allows.
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
