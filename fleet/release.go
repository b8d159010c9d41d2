package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// ReleaseRef names a release: a revision, and the digest of its tree by which the store has
// the snapshot. The two together are the identity, since one revision can have two trees when
// the source is configured anew. The zero value names no release.
type ReleaseRef struct {
	Revision string `json:"revision"`
	// Snapshot is sha256:<64 hex>; empty where nothing is stored.
	Snapshot string `json:"snapshot"`
}

// ID returns the name of the release in URLs and on the command line: 12 hex digits that
// follow from the revision. It is empty for the zero value.
func (r ReleaseRef) ID() string {
	if r.Revision == "" {
		return ""
	}
	return ReleaseID(r.Revision)
}

// IsZero reports whether r names no release.
func (r ReleaseRef) IsZero() bool { return r == ReleaseRef{} }

// ReleaseID returns the ID of the release of a revision. A revision has slashes and cannot
// stand in a path; the ID is short and can.
func ReleaseID(revision string) string {
	sum := sha256.Sum256([]byte(revision))
	return hex.EncodeToString(sum[:6])
}

// ReleaseState is what became of a release.
type ReleaseState string

const (
	// Live is the release of every cluster without an assignment. Exactly one is live.
	Live ReleaseState = "live"
	// RollingOut is the release that reaches the fleet wave by wave. At most one is.
	RollingOut ReleaseState = "rolling out"
	// Held is a release that exceeds the guard and waits for a decision.
	Held ReleaseState = "held"
	// Failed is a revision that is valid for no cluster. It was never served.
	Failed ReleaseState = "failed"
	// Superseded is a release that a newer one replaced.
	Superseded ReleaseState = "superseded"
	// Rejected is a release that was held and rejected, or whose rollout was aborted.
	Rejected ReleaseState = "rejected"
)

// Release is a snapshot that was evaluated for every cluster. The JSON form is that of the
// API; there RollingOut is shown as Live with a Rollout.
type Release struct {
	// ID is that of ReleaseRef.
	ID       string `json:"id"`
	Revision string `json:"revision"`
	// Digest is that of the snapshot: sha256:<64 hex>; empty where there is none.
	Digest string       `json:"digest,omitempty"`
	State  ReleaseState `json:"state"`
	// At is when it entered the state, by the change of that Generation. A superseded release keeps
	// those of the state before.
	At         time.Time `json:"at"`
	Generation int64     `json:"generation,omitempty"`
	// LiveAt is when it went live for the whole fleet; zero where it never did.
	LiveAt time.Time `json:"liveAt,omitzero"`
	// SupersededAt is when a newer release replaced it; zero where none has.
	SupersededAt time.Time `json:"supersededAt,omitzero"`
	// Clusters is how many clusters it was rendered for.
	Clusters int `json:"clusters"`
	// Pins are the names of the pins that keep clusters on it. The log does not have them.
	Pins []string `json:"pins,omitempty"`
	// Problems are its faults and warnings.
	Problems Problems `json:"problems,omitempty"`
	// Failing are the clusters that it is not valid for. They stay where they are.
	Failing []FailingCluster `json:"failing,omitempty"`
	// Impact is what it changes, as of its last evaluation. Lists leave out the Groups,
	// except of a held release.
	Impact *Impact `json:"impact,omitempty"`
	// Violations are the limits of the guard that it exceeds: why it is, or was, held.
	Violations []Violation `json:"violations,omitempty"`
	// Rollout is its progress; nil unless it is rolling out.
	Rollout *RolloutStatus `json:"rollout,omitempty"`
	// Commit is what the source says about the revision; nil where it says nothing.
	Commit *Commit `json:"commit,omitempty"`
	// Decisions are those that people made about it, oldest first.
	Decisions []Decision `json:"decisions,omitempty"`
}

// Ref returns the name of the release.
func (r *Release) Ref() ReleaseRef { return ReleaseRef{r.Revision, r.Digest} }

// WithoutGroups returns the release without the groups of its impact, which are many where every cluster
// changes.
func (r *Release) WithoutGroups() *Release {
	if r.Impact == nil || r.Impact.Groups == nil {
		return r
	}
	next, impact := *r, *r.Impact
	impact.Groups = nil
	next.Impact = &impact
	return &next
}

// FailingCluster is a cluster that a release is not valid for, and why.
type FailingCluster struct {
	Cluster string `json:"cluster"`
	Reason  string `json:"reason"`
}

// Decision is what somebody decided about a release.
type Decision struct {
	Verdict    Verdict   `json:"verdict"`
	Actor      string    `json:"actor"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at"`
	Generation int64     `json:"generation"`
	// Impact is the digest of the impact that was approved.
	Impact string `json:"impact,omitempty"`
}

// Verdict is what can be decided about a release: a held one is approved or rejected; one that
// rolls out is paused, resumed, moved on without waiting for the present wave, or aborted.
// Resume passes a manual gate too.
type Verdict string

// The verdicts.
const (
	Approve Verdict = "approve"
	Reject  Verdict = "reject"
	Pause   Verdict = "pause"
	Resume  Verdict = "resume"
	Skip    Verdict = "skip"
	Abort   Verdict = "abort"
)

// RolloutStatus is the progress of a rollout, as the API shows it.
type RolloutStatus struct {
	Phase Phase `json:"phase"`
	// Reason is why it is paused, or what it waits for.
	Reason string `json:"reason,omitempty"`
	// Pause is why it is paused, with what a resume would take away; nil where it is not.
	Pause *RolloutPause `json:"pause,omitempty"`
	// Since is when the present wave was reached, by the change of that Generation.
	Since      time.Time    `json:"since"`
	Generation int64        `json:"generation"`
	Waves      []WaveStatus `json:"waves"`
}

// Phase is what a rollout does at the moment.
type Phase string

// A rollout progresses by itself, is paused, or waits for somebody to resume it.
const (
	Progressing Phase = "progressing"
	Paused      Phase = "paused"
	Waiting     Phase = "waiting"
)

// WaveStatus is one wave of a rollout.
type WaveStatus struct {
	Name string `json:"name"`
	// Reached reports whether the wave's clusters have the release.
	Reached  bool `json:"reached"`
	Clusters int  `json:"clusters"`
	// Polled is how many clusters of the present wave have polled the release; 0 of other waves.
	Polled int `json:"polled"`
	// Soak is how long the wave has the release before the next one gets it, such as 10m0s.
	Soak string `json:"soak,omitempty"`
	// Manual reports whether somebody has to resume the rollout after the wave.
	Manual bool `json:"manual,omitempty"`
}

// Status returns the wave as the API shows it before any cluster has polled.
func (w *Wave) Status() WaveStatus {
	s := WaveStatus{Name: w.Name, Clusters: len(w.Clusters), Manual: w.Manual}
	if w.Soak > 0 {
		s.Soak = w.Soak.String()
	}
	return s
}
