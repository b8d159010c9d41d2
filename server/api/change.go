package api

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Change is an entry of the change log.
type Change struct {
	Generation int64               `json:"generation"`
	At         time.Time           `json:"at"`
	Kind       fleet.ChangeKind    `json:"kind"`
	Actor      string              `json:"actor"`
	Reason     string              `json:"reason,omitempty"`
	Deltas     []fleet.DeltaChange `json:"deltas,omitempty"`
	Records    []RecordChange      `json:"records,omitempty"`
	Tokens     []fleet.TokenChange `json:"tokens,omitempty"`
	Pins       []fleet.PinChange   `json:"pins,omitempty"`
	// Clusters are those that the change was for; nil where a release went live, which is
	// for every cluster.
	Clusters []string       `json:"clusters,omitempty"`
	Release  *ChangeRelease `json:"release,omitempty"`
}

// ChangeRelease is the release that a change is about.
type ChangeRelease struct {
	fleet.ReleaseRef
	// Commit is what the source says about the revision.
	Commit *fleet.Commit `json:"commit,omitempty"`
	// Clusters is the number of clusters that the change was for.
	Clusters int `json:"clusters"`
}

// RecordChange is what became of the record of one cluster; nil stands for none.
type RecordChange struct {
	Cluster string  `json:"cluster"`
	Before  *Record `json:"before,omitempty"`
	After   *Record `json:"after,omitempty"`
}

// Record is what the change log knows of a cluster in addition to its deltas.
type Record struct {
	Cluster string `json:"cluster"`
	// Since is the generation in which the API declared it.
	Since    int64              `json:"since,omitempty"`
	Declared *fleet.Declaration `json:"declared,omitempty"`
	// Orphaned is set where the cluster's file has vanished, and Stays where the fleet moves
	// on without the cluster for another reason.
	Orphaned       *Orphaned  `json:"orphaned,omitempty"`
	Stays          *Stay      `json:"stays,omitempty"`
	Decommissioned *Tombstone `json:"decommissioned,omitempty"`
}

// Orphaned is the release that an orphaned cluster stays on.
type Orphaned struct {
	Since   int64             `json:"since"`
	Release fleet.ReleaseRef  `json:"release"`
	DNS     string            `json:"dns,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// File is what the cluster's file said last, where neither release has it.
	File *fleet.ClusterSpec `json:"file,omitempty"`
}

// Stay is the release that a cluster stays on while the fleet moves on, and why.
type Stay struct {
	Since   int64              `json:"since"`
	Release fleet.ReleaseRef   `json:"release"`
	File    *fleet.ClusterSpec `json:"file,omitempty"`
	// Wave is true where a newer release took over the rollout of the release.
	Wave bool   `json:"wave,omitempty"`
	Why  string `json:"why,omitempty"`
}

// Tombstone says when a cluster was decommissioned, and what it was then.
type Tombstone struct {
	Generation int64             `json:"generation"`
	At         time.Time         `json:"at"`
	DNS        string            `json:"dns,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Sets       []string          `json:"sets,omitempty"`
}

// NewChange returns the document of an entry of the change log.
func NewChange(c *fleet.Change) Change {
	document := Change{
		Generation: c.Generation, At: c.At, Kind: c.Kind, Actor: c.Actor, Reason: c.Reason,
		Deltas: c.Deltas, Records: recordChanges(c), Tokens: c.Tokens, Pins: c.Pins, Clusters: c.Clusters,
	}
	if r := c.Release; r != nil {
		document.Release = &ChangeRelease{ReleaseRef: r.Ref, Commit: r.Commit, Clusters: r.Clusters}
	}
	return document
}

// NewRelease returns the document of a release: one that is rolling out is shown as live,
// with the progress of its rollout. One that pins keep clusters on has their names.
func NewRelease(r fleet.Release, pins []*fleet.Pin) fleet.Release {
	if r.State == fleet.RollingOut {
		r.State = fleet.Live
	}
	for _, p := range pins {
		if p.Ref() == r.Ref() {
			r.Pins = append(r.Pins, p.Name)
		}
	}
	return r
}

// recordChanges merges what a change says of each cluster's record and assignment. It leaves
// out clusters of which the documents say the same before and after.
func recordChanges(c *fleet.Change) []RecordChange {
	changes := map[string]*RecordChange{}
	of := func(cluster string) *RecordChange {
		if changes[cluster] == nil {
			changes[cluster] = &RecordChange{Cluster: cluster, Before: &Record{Cluster: cluster}, After: &Record{Cluster: cluster}}
		}
		return changes[cluster]
	}
	for _, r := range c.Records {
		of(r.Cluster).Before.addRecord(r.Before)
		of(r.Cluster).After.addRecord(r.After)
	}
	for _, a := range c.Assignments {
		of(a.Cluster).Before.addAssignment(a.Before)
		of(a.Cluster).After.addAssignment(a.After)
	}
	var all []RecordChange
	for _, r := range changes {
		if reflect.DeepEqual(r.Before, r.After) {
			continue
		}
		for _, side := range []**Record{&r.Before, &r.After} {
			if reflect.DeepEqual(*side, &Record{Cluster: r.Cluster}) {
				*side = nil
			}
		}
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b RecordChange) int { return strings.Compare(a.Cluster, b.Cluster) })
	return all
}

func (r *Record) addRecord(from *fleet.ClusterRecord) {
	if from == nil {
		return
	}
	r.Since, r.Declared = from.Since, from.Declared
	if t := from.Decommissioned; t != nil {
		r.Decommissioned = &Tombstone{Generation: t.Generation, At: t.At, DNS: t.DNS, Labels: t.Labels, Sets: t.Sets}
	}
}

// addAssignment adds a row, unless its reason is a rollout or a pin, which releases and pins
// show themselves.
func (r *Record) addAssignment(from *fleet.Assignment) {
	if from == nil {
		return
	}
	switch from.Reason {
	case fleet.ReasonOrphaned:
		r.Orphaned = &Orphaned{Since: from.Since, Release: from.Release, File: from.Spec}
		if from.Spec != nil {
			r.Orphaned.DNS, r.Orphaned.Labels = from.Spec.DNS, from.Spec.Labels
		}
	case fleet.ReasonFailing:
		r.Stays = &Stay{Since: from.Since, Release: from.Release, File: from.Spec, Why: from.Why()}
	case fleet.ReasonSuperseded:
		r.Stays = &Stay{Since: from.Since, Release: from.Release, File: from.Spec, Wave: true, Why: from.Why()}
	case fleet.ReasonRollout, fleet.ReasonPinned:
	}
}
