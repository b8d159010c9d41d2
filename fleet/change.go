package fleet

import (
	"cmp"
	"slices"
	"time"
)

// ChangeKind is the kind of a change.
type ChangeKind string

// The kinds of changes.
const (
	// Written changed deltas or declarations, because somebody asked.
	Written ChangeKind = "write"
	// RolledBack restored deltas and declarations as they were at an earlier generation.
	RolledBack ChangeKind = "rollback"
	// Withdrawn removed deltas or pins that expired.
	Withdrawn ChangeKind = "withdrawal"
	// WentLive made a release the live one.
	WentLive ChangeKind = "release"
	// ReleaseHeld held a release for a decision.
	ReleaseHeld ChangeKind = "hold"
	// ReleaseFailed recorded a revision that is valid for no cluster.
	ReleaseFailed ChangeKind = "failure"
	// ReleaseRolledOut is about a rollout: it reached a wave, was paused before one, or ended.
	ReleaseRolledOut ChangeKind = "rollout"
	// ReleaseDecided recorded what somebody decided about a release.
	ReleaseDecided ChangeKind = "decision"
	// Pinned set or removed a pin.
	Pinned ChangeKind = "pin"
	// Registered is a cluster that registered itself, or replaced its token.
	Registered ChangeKind = "registration"
	// Decommissioned ended a cluster: all its sets are answered empty from then on.
	Decommissioned ChangeKind = "decommission"
	// Recommissioned brought a decommissioned cluster back as it was.
	Recommissioned ChangeKind = "recommission"
	// Purged forgot a decommissioned cluster.
	Purged ChangeKind = "purge"
	// TokensChanged created or revoked a token.
	TokensChanged ChangeKind = "token"
)

// The actors of changes that nobody asked for.
const (
	// SourceActor makes the changes that follow from what the source holds.
	SourceActor = "source"
	// OwnActor makes the changes that Tributary makes by itself, such as an expiry.
	OwnActor = "tributary"
)

// Change is an entry of the change log: who changed what, when and why. It is immutable once it
// has been appended, and [State.Apply] folds it.
type Change struct {
	// Generation is the change's place in the log: 1, 2, 3, … without gaps.
	Generation int64
	// At is when it was made, to the microsecond, in UTC.
	At   time.Time
	Kind ChangeKind
	// Actor is the name of the credential that asked for it, or SourceActor or OwnActor.
	Actor string
	// Reason is prose for people. It is never parsed.
	Reason string
	// Holder must hold the lease when the change is appended; empty where any server may make it.
	Holder string
	// Clusters are those that the change was for, before or after it, sorted; nil where a
	// release went live, which is for every cluster.
	Clusters []string

	// What became of each thing, sorted by its ID or name.
	Deltas      []DeltaChange
	Pins        []PinChange
	Records     []RecordChange
	Tokens      []TokenChange
	Assignments []AssignmentChange

	// Release says what happened to a release; nil where nothing did.
	Release *ReleaseEvent
	// Releases are the releases whose documents changed, as they are now. The Groups of an
	// impact are included where the impact is new.
	Releases []*Release
	// Rollout is what became of the rollout; nil where nothing did.
	Rollout *RolloutChange
	// Candidate is the newest release that the fleet is not going to, after the change; nil
	// where that is as it was, zero where there is none any more.
	Candidate *ReleaseRef
	// Losses are what clusters lost by the change; nil where they lost nothing, and where somebody
	// approved or confirmed that.
	Losses *Losses
}

// ReleaseEvent says what happened to a release.
type ReleaseEvent struct {
	Ref ReleaseRef
	// Commit is that of the release; nil where the source says nothing.
	Commit *Commit
	// Clusters is how many clusters the change was for: all that it was rendered for, or those
	// of the wave.
	Clusters int
	// From and To are its states before and after; equal where a rollout made progress.
	From, To ReleaseState
	// Wave is the name of the wave that was reached.
	Wave string
	// Pause is why the rollout was paused.
	Pause *RolloutPause
	// Decision is what somebody decided.
	Decision *Decision
}

// Sort puts everything that changed into the order of the log.
func (c *Change) Sort() {
	slices.SortFunc(c.Deltas, func(a, b DeltaChange) int { return cmp.Compare(a.Delta, b.Delta) })
	slices.SortFunc(c.Pins, func(a, b PinChange) int { return cmp.Compare(a.Pin, b.Pin) })
	slices.SortFunc(c.Records, func(a, b RecordChange) int { return cmp.Compare(a.Cluster, b.Cluster) })
	slices.SortFunc(c.Tokens, func(a, b TokenChange) int { return cmp.Compare(a.Token, b.Token) })
	slices.SortFunc(c.Assignments, func(a, b AssignmentChange) int { return cmp.Compare(a.Cluster, b.Cluster) })
}

// DeltaChange is what became of one delta; nil stands for none.
type DeltaChange struct {
	// Delta is the delta's ID.
	Delta  string `json:"delta"`
	Before *Delta `json:"before,omitempty"`
	After  *Delta `json:"after,omitempty"`
}

// PinChange is what became of one pin; nil stands for none.
type PinChange struct {
	Pin    string `json:"pin"`
	Before *Pin   `json:"before,omitempty"`
	After  *Pin   `json:"after,omitempty"`
}

// RecordChange is what became of the record of one cluster; nil stands for none.
type RecordChange struct {
	Cluster string         `json:"cluster"`
	Before  *ClusterRecord `json:"before,omitempty"`
	After   *ClusterRecord `json:"after,omitempty"`
}

// Purges returns the clusters that the change forgets, which were decommissioned.
func (c *Change) Purges() (names []string) {
	for _, r := range c.Records {
		if c.Kind == Purged && r.After == nil && r.Before.IsDecommissioned() {
			names = append(names, r.Cluster)
		}
	}
	return names
}

// TokenChange is what became of one token; nil stands for none.
type TokenChange struct {
	Token  string `json:"token"`
	Before *Token `json:"before,omitempty"`
	After  *Token `json:"after,omitempty"`
}
