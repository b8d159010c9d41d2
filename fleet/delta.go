package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Delta is what makes one cluster, or a group of clusters, differ from what the fleet repo
// says. It is kept in the change log rather than in Git, and is immutable once it is part of
// the log.
type Delta struct {
	// Name is that of a named delta; empty for a cluster's own.
	Name string `json:"name,omitempty"`
	// Cluster is the cluster whose own delta it is; empty for a named one.
	Cluster string `json:"cluster,omitempty"`
	// Scope says which clusters a named delta is for.
	Scope
	// Priority orders named deltas: lower first, ties by name. A cluster's own comes last.
	Priority int `json:"priority,omitempty"`
	// Components are directories relative to the root of the fleet repo.
	Components []string `json:"components,omitempty"`
	// Resources are whole objects.
	Resources []json.RawMessage `json:"resources,omitempty"`
	Patches   []Patch           `json:"patches,omitempty"`
	Edits     []Edit            `json:"edits,omitempty"`
	// Reason says why, for the history.
	Reason string `json:"reason,omitempty"`
	// ExpiresAt is when the delta is withdrawn; nil for never.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// Edit changes one object, after everything else: a merge patch (RFC 7386).
type Edit struct {
	// Group and Namespace narrow the choice where kind and name are not enough. Empty, they
	// match any.
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Patch is the merge patch. Null removes the object.
	Patch json.RawMessage `json:"patch"`
}

// Matches reports whether the edit is for the object.
func (e Edit) Matches(o Object) bool {
	return e.Kind == o.Kind && e.Name == o.Name &&
		(e.Group == "" || e.Group == o.Group()) && (e.Namespace == "" || e.Namespace == o.Namespace)
}

// Part is what of a delta is applied or skipped as a whole: a component, resource, patch or edit.
type Part struct {
	// Delta is the delta's ID.
	Delta string `json:"delta"`
	// Field is the place in the delta, such as patches[0].
	Field string `json:"field"`
}

// StalePart is a part of a delta that no longer applies to a cluster, because what it changes
// has moved. The cluster is served without it.
type StalePart struct {
	Part
	Reason string `json:"reason"`
}

// DeltaID returns the ID of a named delta.
func DeltaID(name string) string { return "delta/" + name }

// OwnID returns the ID of a cluster's own delta.
func OwnID(cluster string) string { return "cluster/" + cluster }

// ID returns what distinguishes the delta from all others.
func (d *Delta) ID() string {
	if d.Cluster != "" {
		return OwnID(d.Cluster)
	}
	return DeltaID(d.Name)
}

// DescribeDelta names a delta in a sentence, by its ID: `delta "x"` or `own delta of cluster "y"`.
func DescribeDelta(id string) string {
	if name, named := strings.CutPrefix(id, DeltaID("")); named {
		return fmt.Sprintf("delta %q", name)
	}
	return fmt.Sprintf("own delta of cluster %q", strings.TrimPrefix(id, OwnID("")))
}

// IsEmpty reports whether the delta changes nothing.
func (d *Delta) IsEmpty() bool {
	return len(d.Components)+len(d.Resources)+len(d.Patches)+len(d.Edits) == 0
}

// Expired reports whether the delta should be withdrawn by now.
func (d *Delta) Expired(now time.Time) bool { return d.ExpiresAt != nil && !now.Before(*d.ExpiresAt) }

// CheckScope reports what is wrong with the delta's name and with the clusters it is for.
func (d *Delta) CheckScope() Problems {
	switch {
	case d.Cluster != "" && (!d.Scope.IsZero() || d.Priority != 0):
		return Problems{{Field: "selector", Message: "a cluster's own delta is for that cluster and comes last; leave out selector, clusters and priority"}}
	case d.Cluster != "":
		return nil
	case d.Scope.IsZero():
		return Problems{{Field: "selector", Message: "say which clusters the delta is for, with selector or clusters; {} selects all"}}
	case d.Selector != nil && d.Clusters != nil:
		return Problems{{Field: "clusters", Message: "name clusters or give a selector, not both"}}
	case d.Name != "" && len(validation.IsDNS1123Label(d.Name)) > 0:
		return Problems{{Field: "name", Message: fmt.Sprintf("%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", d.Name)}}
	}
	return nil
}

// CompareDeltas orders deltas as they are applied: named ones by priority, then by name, and
// after them the cluster's own.
func CompareDeltas(a, b *Delta) int {
	return cmp.Or(
		cmp.Compare(a.Cluster, b.Cluster), // empty for named ones, which come first
		cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(a.Name, b.Name),
	)
}
