package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// assignmentComesBackAsItWas gives one cluster an assignment of every shape, one after the other.
func assignmentComesBackAsItWas(t *testing.T, open Database) {
	s := open(t, time.Now)
	covered := assigned("eu-01", "two", fleet.ReasonSuperseded, 2)
	covered.Detail, covered.Spec = strange, spec("eu-01")
	rows := []*fleet.Assignment{
		assigned("eu-01", "one", fleet.ReasonRollout, 1),
		{Cluster: "eu-01", Reason: fleet.ReasonFailing, Detail: strange, Since: 2},
		{Cluster: "eu-01", Release: ref("one"), Reason: fleet.ReasonOrphaned, Spec: spec("eu-01"), Since: 3},
		nil,
		{Cluster: "eu-01", Release: ref("one"), Reason: fleet.ReasonPinned, Detail: "freeze", Since: 5, Previous: covered},
		{Cluster: "eu-01", Release: ref("two"), Reason: fleet.ReasonPinned, Since: 5, Previous: &fleet.Assignment{Cluster: "eu-01", Reason: fleet.ReasonFailing, Since: 1}},
		covered,
	}
	var l log
	var before *fleet.Assignment
	for i, after := range rows {
		c := written(int64(i+1), set("a", fmt.Sprint(i)))
		if i > 0 {
			c.Deltas[0].Before = l[i-1].Deltas[0].After
		}
		c.Kind, c.Assignments = fleet.Pinned, []fleet.AssignmentChange{{Cluster: "eu-01", Before: before, After: after}}
		l, before = append(l, *c), after
		l[i:].appendTo(t, s)
		wantLog(t, s, l)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantLog(t, open(t, time.Now), l)
}

// assignmentsOfAWholeFleetComeBack pins a fleet, takes over part of it, and unpins it. Its
// clusters are on two releases, so that no two changes write the same.
func assignmentsOfAWholeFleetComeBack(t *testing.T, open Database) {
	fleetSize := size(2_345, 400)
	s := open(t, time.Now)
	var l log
	change := func(after func(n int, name string) *fleet.Assignment) {
		c := written(l.next())
		c.Kind = fleet.Pinned
		state := l.state()
		for n := range fleetSize {
			name := fmt.Sprintf("cluster-%04d <&>", n)
			x := fleet.AssignmentChange{Cluster: name, Before: state.Assignments[name], After: after(n, name)}
			if x.Before == nil && x.After == nil {
				continue
			}
			c.Assignments, c.Clusters = append(c.Assignments, x), append(c.Clusters, name)
		}
		l = append(l, *c)
		l[len(l)-1:].appendTo(t, s)
	}
	change(func(n int, name string) *fleet.Assignment {
		return assigned(name, []string{"one", "two"}[n%2], fleet.ReasonPinned, 1)
	})
	change(func(n int, name string) *fleet.Assignment {
		if n%3 == 0 {
			return nil
		}
		a := assigned(name, "three", fleet.ReasonFailing, 2)
		a.Detail = fmt.Sprintf("fault of %d", n)
		return a
	})
	change(func(n int, name string) *fleet.Assignment {
		a := assigned(name, "four", fleet.ReasonPinned, 3)
		if n%3 != 0 {
			a.Previous = assigned(name, "three", fleet.ReasonFailing, 2)
		}
		return a
	})
	change(func(int, string) *fleet.Assignment { return nil })
	wantLog(t, s, l)
}

// tombstoneKeepsItsAssignment: the assignment of a decommissioned cluster is in its tombstone.
func tombstoneKeepsItsAssignment(t *testing.T, open Database) {
	s := open(t, time.Now)
	row := assigned("eu-01", "one", fleet.ReasonPinned, 1)
	row.Previous = assigned("eu-01", "two", fleet.ReasonSuperseded, 1)
	row.Spec = spec("eu-01")
	l := log{*written(1), *written(2), *written(3)}
	l[0].Assignments = []fleet.AssignmentChange{{Cluster: "eu-01", After: row}}
	l[1].Kind, l[1].Assignments = fleet.Decommissioned, []fleet.AssignmentChange{{Cluster: "eu-01", Before: row}}
	l[1].Records = []fleet.RecordChange{{Cluster: "eu-01", After: decommissioned("eu-01", row)}}
	l[2].Kind, l[2].Records = fleet.Purged, []fleet.RecordChange{{Cluster: "eu-01", Before: l[1].Records[0].After}}
	for i := range l {
		l[i:i+1].appendTo(t, s)
		wantLog(t, s, l[:i+1])
	}
}
