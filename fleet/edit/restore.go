package edit

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Restored is what a rollback changes.
type Restored struct {
	Deltas  []fleet.DeltaChange
	Records []fleet.RecordChange
	// Warnings say what is not restored, and why.
	Warnings []string
}

// Restore returns the changes after which deltas and declarations are as they were then, at a
// generation. Only is the ID of the one delta that is restored, with the declaration of its cluster
// where it is a cluster's own; empty for all. Exists reports whether a cluster is in use.
//
// Deltas that have expired since are not restored, nor are those of clusters that are decommissioned
// or gone, or whose name another cluster has by now. It is an ErrNotFound where there is no such delta.
func Restore(now, then *fleet.State, generation int64, only string, at time.Time, exists func(cluster string) bool) (*Restored, error) {
	out := &Restored{}
	ids := maps.Collect(then.Deltas.All())
	maps.Insert(ids, now.Deltas.All())
	if owner, own := strings.CutPrefix(only, fleet.OwnID("")); only != "" && ids[only] == nil && !(own && now.Records[owner].IsDeclared()) {
		return nil, fmt.Errorf("%s: %w, now or at generation %d", fleet.DescribeDelta(only), fleet.ErrNotFound, generation)
	}
	isOther := func(d *fleet.Delta) bool {
		if d == nil || d.Cluster == "" {
			return false
		}
		r := now.Records[d.Cluster]
		return !exists(d.Cluster) || r != nil && r.Since > generation
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if only != "" && only != id {
			continue
		}
		c := fleet.DeltaChange{Delta: id, Before: now.Deltas.Get(id), After: then.Deltas.Get(id)}
		switch {
		case c.After != nil && c.After.Expired(at):
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s expired at %s, and is not restored", id, c.After.ExpiresAt.Format(time.RFC3339)))
			c.After = nil
		case isOther(c.After):
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s is not restored: the cluster is decommissioned or gone, or another cluster has its name", id))
			c.After = nil
		}
		out.Deltas = append(out.Deltas, c)
	}
	for _, name := range slices.Sorted(maps.Keys(now.Records)) {
		is, was := now.Records[name], then.Records[name]
		if only != "" && only != fleet.OwnID(name) || !is.IsDeclared() || is.IsDecommissioned() ||
			!was.IsDeclared() || was.Since != is.Since || reflect.DeepEqual(is.Declared, was.Declared) {
			continue
		}
		after := *is
		after.Declared = was.Declared
		out.Records = append(out.Records, fleet.RecordChange{Cluster: name, Before: is, After: &after})
	}
	return out, nil
}
