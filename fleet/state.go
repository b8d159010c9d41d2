package fleet

import "maps"

// state is what the change log adds up to at one generation, as far as it bears on
// what clusters are served. It is immutable.
type state struct {
	generation int64
	deltas     deltaSet
	records    map[string]*ClusterRecord // by cluster
	pins       pinSet
	lineup     *Lineup // nil stands for an empty one
	reached    reached // of the lineup's rollout
}

func stateOf(log *LogState) state {
	s := state{generation: log.Generation, deltas: listed(log.Deltas), records: make(map[string]*ClusterRecord, len(log.Records)), pins: newPinSet(log.Pins)}
	for _, r := range log.Records {
		s.records[r.Cluster] = r
	}
	return s.moved(log.Lineup)
}

// with is the state after a change, at the generation before it.
func (s state) with(c *Change) state {
	if len(c.Deltas) > 0 {
		s.deltas = s.deltas.with(c.Deltas)
	}
	if len(c.Pins) > 0 {
		s.pins = s.pins.with(c.Pins)
	}
	if c.Lineup != nil {
		s = s.moved(c.Lineup)
	}
	if len(c.Records) == 0 {
		return s
	}
	all := maps.Clone(s.records)
	if all == nil {
		all = map[string]*ClusterRecord{}
	}
	for _, r := range c.Records {
		if r.After == nil {
			delete(all, r.Cluster)
		} else {
			all[r.Cluster] = r.After
		}
	}
	s.records = all
	return s
}

func (s state) moved(l *Lineup) state {
	s.lineup, s.reached = l, l.reached()
	return s
}

// rollout is the one in progress; nil for none.
func (s state) rollout() *Rollout {
	if s.lineup == nil {
		return nil
	}
	return s.lineup.Rollout
}

// candidate is the ID of the newest release that the fleet does not go to; "" for none.
func (s state) candidate() string {
	if s.lineup == nil {
		return ""
	}
	return s.lineup.Candidate
}
