package edit

import (
	"fmt"
	"slices"

	"github.com/tributary-gitops/tributary/fleet"
)

// AddEdit returns d with one more edit, which is applied after those it has. The edit is merged
// into the last one of the same object if that is exact for every object that they may meet.
// Otherwise it is appended, because two merge patches can only be made one for a known base.
func AddEdit(d fleet.Delta, e fleet.Edit) (*fleet.Delta, error) {
	patch, err := decodeInput(e.Patch)
	if err != nil {
		return nil, fmt.Errorf("edit of %s/%s: %w: the patch %w", e.Kind, e.Name, fleet.ErrInvalid, err)
	}
	d.Edits = slices.Clone(d.Edits)
	if at := lastMeeting(d.Edits, e); at >= 0 && d.Edits[at].Group == e.Group && d.Edits[at].Namespace == e.Namespace {
		before, err := decode(d.Edits[at].Patch)
		if err != nil {
			return nil, err
		}
		if both, exact := composeAny(before, patch); exact {
			d.Edits[at].Patch = fleet.EncodeJSON(both)
			return &d, nil
		}
	}
	e.Patch = fleet.EncodeJSON(patch)
	d.Edits = append(d.Edits, e)
	return &d, nil
}

// lastMeeting returns the index of the last edit that may be of the same object as e; -1 for none.
func lastMeeting(edits []fleet.Edit, e fleet.Edit) int {
	overlap := func(a, b string) bool { return a == b || a == "" || b == "" }
	for i, other := range slices.Backward(edits) {
		if other.Kind == e.Kind && other.Name == e.Name && overlap(other.Group, e.Group) && overlap(other.Namespace, e.Namespace) {
			return i
		}
	}
	return -1
}
