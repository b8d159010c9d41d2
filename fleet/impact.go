package fleet

import (
	"encoding/json"
	"slices"
)

// Impact is what a release or a write changes of what clusters are served. Package impact
// computes it. The JSON form is that of the API.
type Impact struct {
	// Digest is sha256:<64 hex> of everything else, and of the clusters that the release is invalid
	// for. A decision, and the confirmation of a write, is about this impact and no other. The same
	// impact of another revision has the same digest.
	Digest string `json:"digest"`
	// Clusters is how many clusters it touches.
	Clusters int `json:"clusters"`
	// Added, Changed, Removed and Moved count inputs. An input that moves is in another set
	// afterwards; it counts as Moved, not as Removed and Added.
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
	Moved   int `json:"moved"`
	// Fields counts the fields that differ in Changed inputs.
	Fields int `json:"fields"`
	// New are clusters that there were not before, and Orphaned are those whose file vanishes; they
	// stay on what they have. Both are sorted.
	New      []string `json:"newClusters,omitempty"`
	Orphaned []string `json:"orphanedClusters,omitempty"`
	// Renamed are those of Orphaned that seem to be among New by another name, sorted by the old
	// name. They are in both lists, too.
	Renamed []RenamedCluster `json:"renamedClusters,omitempty"`
	// Reowned are the dns names by which another cluster is found, sorted.
	Reowned []ReownedName `json:"reownedNames,omitempty"`
	// Lists are the lists of clusters that were polled, as a management cluster does, and that
	// lose or gain clusters, sorted by selector.
	Lists []ListEffect `json:"lists,omitempty"`
	// Groups have all of it: clusters with the same changes are one group. The groups that lose
	// most come first.
	Groups []ImpactGroup `json:"groups,omitempty"`
}

// IsEmpty reports whether nothing changes, neither what clusters are served nor which clusters
// there are. The impact may be nil.
func (i *Impact) IsEmpty() bool {
	return i == nil || i.Clusters+len(i.New)+len(i.Orphaned)+len(i.Reowned)+len(i.Lists) == 0
}

// RenamedCluster is a cluster whose file vanishes while a new cluster appears with the same dns, or
// with a file that says the same.
type RenamedCluster struct {
	From string `json:"from"`
	To   string `json:"to"`
	// By is dns or content.
	By string `json:"by"`
}

// What two names of one cluster have in common.
const (
	RenamedByDNS     = "dns"
	RenamedByContent = "content"
)

// ReownedName is a dns by which another cluster is found afterwards: a cluster that polls by it is
// served the other one's inputs.
type ReownedName struct {
	DNS  string `json:"dns"`
	From string `json:"from"`
	To   string `json:"to"`
}

// ListEffect is what becomes of the list of the clusters that match a selector. Each cluster is an
// input of the list.
type ListEffect struct {
	Selector string `json:"selector"`
	// Before is how many clusters the list had. Added and Removed are sorted.
	Before  int      `json:"before"`
	Removed []string `json:"removed,omitempty"`
	Added   []string `json:"added,omitempty"`
}

// ImpactGroup is what changes in the same way for some clusters.
type ImpactGroup struct {
	Clusters []string `json:"clusters"`
	// Changes are sorted by set and ID.
	Changes []InputEffect `json:"changes"`
	// Vanished are sets that the clusters no longer have, Emptied are sets left without an
	// input, and StaleParts are the parts of deltas that stop applying.
	Vanished   []string `json:"vanished,omitempty"`
	Emptied    []string `json:"emptied,omitempty"`
	StaleParts []string `json:"orphaned,omitempty"`
}

// Effect is what becomes of an input.
type Effect string

// The effects.
const (
	Added   Effect = "added"
	Changed Effect = "changed"
	Removed Effect = "removed"
	Moved   Effect = "moved"
)

// InputEffect is what becomes of one input.
type InputEffect struct {
	Set    string `json:"set"`
	ID     string `json:"id"`
	Effect Effect `json:"effect"`
	// To is the set that it moves to.
	To string `json:"to,omitempty"`
	// Fields are those that differ in a Changed input, sorted by path. The impact that is kept
	// with a release leaves out their values.
	Fields []FieldEffect `json:"fields,omitempty"`
}

// FieldEffect is one field that differs.
type FieldEffect struct {
	// Path is the path of the field, such as values.replicaCount or subjects[0].name.
	Path string `json:"path"`
	// Before and After are its values; absent where there is none, or where values are left out.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// InputChange is what a write makes of one input of one cluster.
type InputChange struct {
	Cluster string `json:"cluster"`
	Set     string `json:"set"`
	ID      string `json:"id"`
	// Before and After are the input; absent where there is none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Violation is a limit of the guard that is exceeded.
type Violation struct {
	// Rule is the field of spec.guard: removedPerCluster, removedPerFleet, removedEverywhere,
	// protected, orphanedClusters, failingClusters, allowEmptySets, allowVanishedSets,
	// allowOrphanedParts or allowReownedNames. It is served if it is unknown what is lost.
	Rule string `json:"rule"`
	// Cluster is the first that exceeds it, where the limit is one of clusters.
	Cluster string `json:"cluster,omitempty"`
	// Message says what is exceeded, by how much, and what is allowed.
	Message string `json:"message"`
}

// RuleFailingClusters is the rule of a release that is not valid for too many clusters.
const RuleFailingClusters = "failingClusters"

// NeedFix reports whether a release with those violations needs another commit rather than an approval: an
// approval would leave the clusters behind that it is not valid for.
func NeedFix(violations []Violation) bool {
	return slices.ContainsFunc(violations, func(v Violation) bool { return v.Rule == RuleFailingClusters })
}

// Preview is what a snapshot would do as the next release.
type Preview struct {
	Revision string `json:"revision"`
	// Commit is what the source says about the revision; nil where it says nothing.
	Commit *Commit `json:"commit,omitempty"`
	// Outcome is none, changes, held or failed. A release that is valid for some clusters has
	// not failed.
	Outcome    string           `json:"outcome"`
	Impact     *Impact          `json:"impact"`
	Violations []Violation      `json:"violations,omitempty"`
	Failing    []FailingCluster `json:"failing,omitempty"`
	Problems   Problems         `json:"problems,omitempty"`
	// Waves are those of the rollout; empty where it would go live at once.
	Waves []WaveStatus `json:"waves,omitempty"`
}

// The outcomes of a preview.
const (
	OutcomeNone    = "none"
	OutcomeChanges = "changes"
	OutcomeHeld    = "held"
	OutcomeFailed  = "failed"
)

// GuardError reports a write that exceeds the guard, or a decision about another impact than
// there is now. It is an ErrGuarded.
type GuardError struct {
	Impact     *Impact
	Violations []Violation
}

func (e *GuardError) Error() string {
	text := ErrGuarded.Error()
	for _, v := range e.Violations {
		text += ": " + v.Message
	}
	return text
}

// Is makes errors.Is(e, ErrGuarded) true.
func (*GuardError) Is(target error) bool { return target == ErrGuarded }
