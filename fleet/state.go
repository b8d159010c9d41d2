package fleet

import "maps"

// state is what the change log adds up to at one generation, as far as it bears on
// what clusters are served. It is immutable.
type state struct {
	generation int64
	deltas     deltaSet
	records    map[string]*ClusterRecord // by cluster
}

func stateOf(log *LogState) state {
	s := state{generation: log.Generation, deltas: listed(log.Deltas), records: make(map[string]*ClusterRecord, len(log.Records))}
	for _, r := range log.Records {
		s.records[r.Cluster] = r
	}
	return s
}

// with is the state after changes.
func (s state) with(deltas []DeltaChange, records []RecordChange) state {
	if len(deltas) > 0 {
		s.deltas = s.deltas.with(deltas)
	}
	if len(records) == 0 {
		return s
	}
	all := maps.Clone(s.records)
	if all == nil {
		all = map[string]*ClusterRecord{}
	}
	for _, c := range records {
		if c.After == nil {
			delete(all, c.Cluster)
		} else {
			all[c.Cluster] = c.After
		}
	}
	s.records = all
	return s
}
