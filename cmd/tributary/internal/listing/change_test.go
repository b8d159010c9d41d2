package listing

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func TestSummaryNamesWhatBecameOfClusters(t *testing.T) {
	t.Parallel()
	on := fleet.ReleaseRef{Revision: "main@sha1:1"}
	orphaned, stays := &api.Record{Orphaned: &api.Orphaned{Release: on}}, &api.Record{Stays: &api.Stay{Release: on}}
	gone, declared := &api.Record{Decommissioned: &api.Tombstone{}}, &api.Record{Declared: &fleet.Declaration{}}
	for _, c := range []struct {
		before, after *api.Record
		want          string
	}{
		{orphaned, gone, "Cluster/one (decommissioned)"},
		{gone, nil, "Cluster/one (forgotten)"},
		{nil, orphaned, "Cluster/one (orphaned)"},
		{orphaned, nil, "Cluster/one (no longer orphaned)"},
		{nil, stays, "Cluster/one (stays on main@sha1:1)"},
		{stays, nil, "Cluster/one (goes with the fleet again)"},
		{stays, stays, "Cluster/one"},
		{nil, declared, "Cluster/one (new)"},
		{declared, declared, "Cluster/one"},
		{declared, nil, "Cluster/one (dropped)"},
	} {
		got := changeSummary(api.Change{Records: []api.RecordChange{{Cluster: "one", Before: c.before, After: c.after}}}, 3)
		if got != c.want {
			t.Errorf("%+v, %+v: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}
