package rollout_test

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/rollout"
)

// readable is a fleet repo in which every file can be read.
type readable struct{ fleet.Repo }

func (readable) Broken() map[string]fleet.Problem { return nil }
func (readable) Unread() map[string]fleet.Problem { return nil }

func TestClusterOnAReleaseThatCannotBeLoadedIsOrphaned(t *testing.T) {
	t.Parallel()
	old, live, next := fleet.ReleaseRef{Revision: "old"}, fleet.ReleaseRef{Revision: "live"}, fleet.ReleaseRef{Revision: "next"}
	row := &fleet.Assignment{Cluster: "ann", Release: old, Reason: fleet.ReasonSuperseded}
	s := fleet.NewState(&fleet.LogState{Live: &fleet.LiveRelease{ReleaseRef: live}, Assignments: []*fleet.Assignment{row}})
	lookup := func(ref fleet.ReleaseRef) *fleet.Compiled {
		if ref == live {
			return &fleet.Compiled{Ref: live, Repo: readable{}}
		}
		return nil
	}
	plan, err := rollout.NewRules(s, lookup).GoLive(&fleet.Change{Kind: fleet.WentLive, Release: &fleet.ReleaseEvent{Ref: next}}, &fleet.Compiled{Ref: next, Repo: readable{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.State().Assignments["ann"]; got == nil || got.Reason != fleet.ReasonOrphaned || got.Release != old {
		t.Errorf("the row of ann is %+v, want it orphaned on %s", got, old.Revision)
	}
}
