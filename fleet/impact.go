package fleet

import (
	"encoding/json"
	"slices"
)

// InputChange is what a change makes of one input of one cluster.
type InputChange struct {
	Cluster string `json:"cluster"`
	Set     string `json:"set"`
	ID      string `json:"id"`
	// Before and After are the input; absent where there is none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// impact is what lies between two renderings of a cluster, by set in their
// order, and by id within. Either may be nil.
func impact(cluster string, before, after *Member) []InputChange {
	var changes []InputChange
	for _, set := range setsOf(before, after) {
		for _, c := range compareInputs(before.body(set), after.body(set)) {
			c.Cluster, c.Set = cluster, set
			changes = append(changes, c)
		}
	}
	return changes
}

// setsOf are the input sets of any of two members, in the order of their releases.
func setsOf(before, after *Member) []string {
	var sets []string
	for _, m := range []*Member{after, before} {
		if m == nil {
			continue
		}
		for _, set := range m.base.sets {
			if !slices.Contains(sets, set) {
				sets = append(sets, set)
			}
		}
	}
	return sets
}

// body is the member's answer to a poll of a set; nil for none. One that is lost has none,
// whatever it had before.
func (m *Member) body(set string) *Body {
	if m == nil || m.lost != nil {
		return nil
	}
	return m.bodies[set]
}

// compareInputs finds the inputs that differ between two answers, either of which may
// be nil. Inputs that they share are not looked at.
func compareInputs(old, now *Body) []InputChange {
	if old == now {
		return nil
	}
	a, b := old.list(), now.list()
	named := len(a) > 0 && len(b) > 0 && string(old.identity) == string(now.identity)
	var changes []InputChange
	for len(a)+len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].ID < b[0].ID:
			changes, a = append(changes, InputChange{ID: a[0].ID, Before: old.input(a[0])}), a[1:]
		case len(a) == 0 || b[0].ID < a[0].ID:
			changes, b = append(changes, InputChange{ID: b[0].ID, After: now.input(b[0])}), b[1:]
		default:
			if !named || !a[0].Same(b[0]) {
				changes = append(changes, InputChange{ID: a[0].ID, Before: old.input(a[0]), After: now.input(b[0])})
			}
			a, b = a[1:], b[1:]
		}
	}
	return changes
}

func (b *Body) list() []*Input {
	if b == nil {
		return nil
	}
	return b.inputs
}

// input is one of the inputs of the answer as it is sent.
func (b *Body) input(in *Input) json.RawMessage {
	return in.AppendTo(make([]byte, 0, in.size()+len(b.identity)), b.identity)
}
