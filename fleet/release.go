package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// State is what became of a release.
type State string

const (
	// Live is a release that clusters follow: the one that the fleet is on, and one
	// that is being rolled out.
	Live State = "live"
	// Held is one that takes away more than the guard allows, and waits for a decision.
	Held State = "held"
	// Failed is a revision that is good for no cluster; it was never served.
	Failed State = "failed"
	// Superseded is one that another came after.
	Superseded State = "superseded"
	// Rejected is one that was held and rejected, or whose rollout was aborted.
	Rejected State = "rejected"
)

// Release is a snapshot that has been rendered and checked for every cluster.
type Release struct {
	// ID names the release in URLs; one revision always has the same.
	ID       string `json:"id"`
	Revision string `json:"revision"`
	// Digest is that of the snapshot: sha256:<64 hex>; empty where there is none.
	Digest string `json:"digest,omitempty"`
	State  State  `json:"state"`
	// At is when it came to be in the state, at that generation.
	At         time.Time `json:"at"`
	Generation int64     `json:"generation,omitempty"`
	// Clusters is how many it was rendered for.
	Clusters int `json:"clusters"`
	// Problems are what is wrong with it, faults and warnings.
	Problems Problems `json:"problems,omitempty"`
	// Failing are the clusters that it is not good for, which stay where they are.
	Failing []FailingCluster `json:"failing,omitempty"`
	// Impact is what it changes of what clusters were served when it was last looked
	// at. In lists it has no Groups unless the release is held.
	Impact *Impact `json:"impact,omitempty"`
	// Violations are what of the guard it goes beyond: why it is held, or was.
	Violations []Violation `json:"violations,omitempty"`
	// Rollout is how far it has come; nil where it is not being rolled out.
	Rollout *RolloutStatus `json:"rollout,omitempty"`
	// Decisions are what people decided on it, oldest first.
	Decisions []Decision `json:"decisions,omitempty"`
}

// FailingCluster is a cluster that a release is not good for, and why.
type FailingCluster struct {
	Cluster string `json:"cluster"`
	Reason  string `json:"reason"`
}

// Decision is what somebody decided on a release.
type Decision struct {
	// Verdict is what: approve, reject, pause, resume, skip or abort.
	Verdict    Verdict   `json:"verdict"`
	Actor      string    `json:"actor"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at"`
	Generation int64     `json:"generation"`
	// Impact is the digest of the impact that was approved.
	Impact string `json:"impact,omitempty"`
}

// Verdict is what somebody may decide on a release.
type Verdict string

// What may be decided: on a held release to approve or reject it; on one that is
// being rolled out to pause it, to resume it, which passes a manual gate too, to skip
// what the present wave waits for, and to abort it.
const (
	Approve Verdict = "approve"
	Reject  Verdict = "reject"
	Pause   Verdict = "pause"
	Resume  Verdict = "resume"
	Skip    Verdict = "skip"
	Abort   Verdict = "abort"
)

// RolloutStatus is how far a release has come that is being rolled out.
type RolloutStatus struct {
	Phase Phase `json:"phase"`
	// Reason is why it is paused, or what it waits for.
	Reason string `json:"reason,omitempty"`
	// Since is when the present wave was reached, and Generation the change by which.
	Since      time.Time    `json:"since"`
	Generation int64        `json:"generation"`
	Waves      []WaveStatus `json:"waves"`
}

// Phase is what a rollout does.
type Phase string

// A rollout goes on by itself, is paused, or waits for somebody to resume it.
const (
	Progressing Phase = "progressing"
	Paused      Phase = "paused"
	Waiting     Phase = "waiting"
)

// WaveStatus is one wave of a rollout.
type WaveStatus struct {
	Name string `json:"name"`
	// Reached tells whether its clusters have the release.
	Reached  bool `json:"reached"`
	Clusters int  `json:"clusters"`
	// Polled is how many of those that have the release have polled it, of the present
	// wave; 0 of any other.
	Polled int `json:"polled"`
	// Soak is how long it has the release before the next one gets it, as a duration
	// such as 10m0s; Manual whether somebody has to resume the rollout after it.
	Soak   string `json:"soak,omitempty"`
	Manual bool   `json:"manual,omitempty"`
}

// releaseID is short and safe in a path, which a revision with its slashes is not.
func releaseID(revision string) string {
	sum := sha256.Sum256([]byte(revision))
	return hex.EncodeToString(sum[:6])
}
