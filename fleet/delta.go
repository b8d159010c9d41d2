package fleet

import (
	"encoding/json"
	"time"
)

// Delta is what makes one cluster, or a group of them, differ from what the
// fleet repo says. It is kept in the change log rather than in Git. Once it is
// part of a view or the log it is not written to any more.
type Delta struct {
	// Name is that of a named delta; empty for a cluster's own.
	Name string `json:"name,omitempty"`
	// Cluster is whose own delta it is; empty for a named one.
	Cluster string `json:"cluster,omitempty"`
	// Selector or Clusters say which clusters a named delta is for.
	Selector *Selector `json:"selector,omitempty"`
	Clusters []string  `json:"clusters,omitempty"`
	// Priority orders named deltas: lower first, ties by name. A cluster's own
	// comes after all of them.
	Priority int `json:"priority,omitempty"`
	// Components are directories relative to the root of the fleet repo.
	Components []string `json:"components,omitempty"`
	// Resources are whole objects.
	Resources []json.RawMessage `json:"resources,omitempty"`
	Patches   []Patch           `json:"patches,omitempty"`
	Edits     []Edit            `json:"edits,omitempty"`
	// Reason says why; the change log keeps it.
	Reason string `json:"reason,omitempty"`
	// ExpiresAt is when the delta is withdrawn by itself; nil for never.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
}

// Edit changes one object after all else: a merge patch (RFC 7386).
type Edit struct {
	// Group and Namespace narrow the choice where kind and name are not enough;
	// empty they match any.
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Patch is the merge patch. Null takes the object away.
	Patch json.RawMessage `json:"patch"`
}

// Part is what of a delta is applied or skipped as a whole: a component,
// resource, patch or edit.
type Part struct {
	// Delta is the delta's ID.
	Delta string `json:"delta"`
	// Field is the place in the delta, such as patches[0].
	Field string `json:"field"`
}

// Orphan is a part of a delta that cannot be applied to a cluster any more,
// because what it changes has moved on under it. The cluster goes without it.
type Orphan struct {
	Part
	Reason string `json:"reason"`
}

// DeltaID is the ID of a named delta.
func DeltaID(name string) string { return "delta/" + name }

// OwnID is the ID of a cluster's own delta.
func OwnID(cluster string) string { return "cluster/" + cluster }

// ID tells deltas apart: named ones from one another and from clusters' own.
func (d *Delta) ID() string {
	if d.Cluster != "" {
		return OwnID(d.Cluster)
	}
	return DeltaID(d.Name)
}

// isEmpty tells whether a delta changes nothing.
func (d *Delta) isEmpty() bool {
	return len(d.Components)+len(d.Resources)+len(d.Patches)+len(d.Edits) == 0
}

// expired tells whether a delta is to be withdrawn by now.
func (d *Delta) expired(now time.Time) bool { return d.ExpiresAt != nil && !now.Before(*d.ExpiresAt) }
