package fleet

import (
	"cmp"
	"slices"
	"time"
)

// ChangeKind says what a change was.
type ChangeKind string

const (
	// Written is a change of deltas that somebody asked for.
	Written ChangeKind = "write"
	// RolledBack put deltas back as they were at an earlier generation.
	RolledBack ChangeKind = "rollback"
	// Withdrawn took away deltas whose time had come.
	Withdrawn ChangeKind = "withdrawal"
	// WentLive is a release that went live.
	WentLive ChangeKind = "release"
	// ReleaseHeld is a release that waits for a decision.
	ReleaseHeld ChangeKind = "hold"
	// ReleaseFailed is a revision that is good for no cluster.
	ReleaseFailed ChangeKind = "failure"
	// ReleaseRolledOut is what became of a rollout: a release reached a wave, was paused
	// before one, or its rollout ended.
	ReleaseRolledOut ChangeKind = "rollout"
	// ReleaseDecided is what somebody decided on a release; the reason begins with the verdict.
	ReleaseDecided ChangeKind = "decision"
	// Pinned is a pin that was set or taken away.
	Pinned ChangeKind = "pin"
	// Registered is a cluster that registered itself, or took another token.
	Registered ChangeKind = "registration"
	// Decommissioned is a cluster that is to have nothing any more.
	Decommissioned ChangeKind = "decommission"
	// Purged is a decommissioned cluster that was forgotten.
	Purged ChangeKind = "purge"
	// TokensChanged is a token that was created or revoked.
	TokensChanged ChangeKind = "token"
)

// Change is an entry of the change log: who changed what, when and why.
type Change struct {
	// Generation is the change's place in the log, which has no gaps: 1, 2, 3, ….
	Generation int64 `json:"generation"`
	// At is when it was made, to the microsecond.
	At   time.Time  `json:"at"`
	Kind ChangeKind `json:"kind"`
	// Actor is the name of the credential that asked for it.
	Actor  string `json:"actor"`
	Reason string `json:"reason,omitempty"`
	// Deltas are those that changed, sorted by ID.
	Deltas []DeltaChange `json:"deltas,omitempty"`
	// Records are the clusters of which the log says something else now, sorted by
	// name: with a release, those whose file has vanished, come back, or taken over from
	// a registration that disagrees.
	Records []RecordChange `json:"records,omitempty"`
	// Tokens are those that changed.
	Tokens []TokenChange `json:"tokens,omitempty"`
	// Pins are those that changed, sorted by name.
	Pins []PinChange `json:"pins,omitempty"`
	// Clusters are those that a change was for, before or after it, sorted; nil
	// where a release went live, which is for every cluster.
	Clusters []string `json:"clusters,omitempty"`
	// Release is the one that the change is about: that went live, was held, failed,
	// reached a wave or was decided on; nil for any other kind.
	Release *LiveRelease `json:"release,omitempty"`
	// Releases are those that are otherwise now, as they are, with the Groups of their impact where that is new.
	// History does not tell them.
	Releases []*Release `json:"-"`
	// Lineup is what it is after the change; nil where that is as it was. History does
	// not tell it either.
	Lineup *Lineup `json:"-"`
	// Holder must hold the lease for the change to be kept; empty where anybody may
	// make it.
	Holder string `json:"-"`
}

// sort puts what changed into the order that it has in the log.
func (c *Change) sort() {
	slices.SortFunc(c.Deltas, func(a, b DeltaChange) int { return cmp.Compare(a.Delta, b.Delta) })
	slices.SortFunc(c.Records, func(a, b RecordChange) int { return cmp.Compare(a.Cluster, b.Cluster) })
	slices.SortFunc(c.Tokens, func(a, b TokenChange) int { return cmp.Compare(a.Token, b.Token) })
}

// DeltaChange is what became of one delta; nil stands for none.
type DeltaChange struct {
	// Delta is the delta's ID.
	Delta  string `json:"delta"`
	Before *Delta `json:"before,omitempty"`
	After  *Delta `json:"after,omitempty"`
}

// LiveRelease is what the log keeps of a release that went live.
type LiveRelease struct {
	Revision string `json:"revision"`
	// Snapshot is the digest of its tree, by which the store has it.
	Snapshot string `json:"snapshot"`
	// Clusters is how many it was rendered for.
	Clusters int `json:"clusters"`
}

// ID names the release, as Release has it.
func (r LiveRelease) ID() string { return releaseID(r.Revision) }
