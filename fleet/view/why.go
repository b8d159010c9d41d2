package view

import (
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// Why returns why a member is not on the release that the fleet goes to, for people; "" where it
// is on that.
func (v *View) Why(m *Member) string {
	row := v.state.Assignments[m.Cluster.Name]
	switch {
	case m.State == fleet.ClusterDecommissioned:
		return ""
	case m.unavailable != nil && (row == nil || !row.Release.IsZero()):
		return m.unavailable.Error()
	case row == nil && v.state.Rollout != nil:
		return fmt.Sprintf("release %s has not reached it yet", v.state.Rollout.Release.ID())
	case row == nil:
		return ""
	}
	switch p := v.Pin(m); {
	case p == nil:
	case row.Reason == fleet.ReasonPinned && p.Reason != "":
		return row.Why() + ": " + p.Reason
	case row.Reason == fleet.ReasonFailing && p.Ref() != row.Release:
		return fmt.Sprintf("pin %s selects it, but its release is not valid for it: %s", p.Name, row.Detail)
	}
	return row.Why()
}
