package fleet

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
)

// draft is what becomes of records, in the making.
type draft struct {
	from  map[string]*ClusterRecord // as they are; not written to
	after map[string]*ClusterRecord // as they will be, of those that were edited
}

func newDraft(s state) *draft { return &draft{from: s.records, after: map[string]*ClusterRecord{}} }

// edit changes the record of a cluster.
func (d *draft) edit(cluster string, change func(r *ClusterRecord)) {
	r := ClusterRecord{Cluster: cluster}
	if now := d.record(cluster); now != nil {
		r = *now
	}
	change(&r)
	d.after[cluster] = &r
}

// drop has the log say nothing of a cluster.
func (d *draft) drop(cluster string) { d.after[cluster] = &ClusterRecord{Cluster: cluster} }

// record is what the log will say of a cluster; nil for nothing.
func (d *draft) record(cluster string) *ClusterRecord {
	return cmp.Or(d.after[cluster], d.from[cluster])
}

// changes are what the draft comes to, sorted by cluster.
func (d *draft) changes() []RecordChange {
	var all []RecordChange
	for _, name := range slices.Sorted(maps.Keys(d.after)) {
		c := recordChange(d.from[name], d.after[name])
		if c.Cluster = name; c.Before != nil || c.After != nil {
			if !reflect.DeepEqual(c.Before, c.After) {
				all = append(all, c)
			}
		}
	}
	return all
}
