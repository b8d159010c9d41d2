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
	switch row.Reason {
	case fleet.ReasonOrphaned:
		return "its file has vanished; it stays on its release until the file is back, or it is declared or decommissioned"
	case fleet.ReasonSuperseded:
		return "a newer release took over its rollout"
	case fleet.ReasonPinned:
		text := fmt.Sprintf("pin %s keeps it there", row.Detail)
		if p := v.state.Pins.Get(row.Detail); p != nil && p.Reason != "" {
			text += ": " + p.Reason
		}
		return text
	case fleet.ReasonFailing:
		if p := v.Pin(m); p != nil && p.Ref() != row.Release {
			return fmt.Sprintf("pin %s selects it, but its release is not valid for it: %s", p.Name, row.Detail)
		}
		return row.Detail
	case fleet.ReasonRollout:
	}
	return ""
}
