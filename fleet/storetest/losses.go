package storetest

import (
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// lossesCountUntilTheyEnd: what clusters lost by a change is part of the state until a change comes
// that is made at its end or later. The entry is not pruned before.
func lossesCountUntilTheyEnd(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	change := func(after, window time.Duration) {
		t.Helper()
		c := written(l.next(), set("delta", after.String()))
		if c.At = noon.Add(after); window > 0 {
			c.Losses = &fleet.Losses{Until: c.At.Add(window), Groups: []fleet.LossGroup{
				{Clusters: []string{"eu-01", "us-01"}, Inputs: []fleet.InputRef{{Set: "apps", ID: strange}, {Set: "apps", ID: "web"}}},
				{Clusters: []string{"ap-01"}, Orphaned: true},
			}}
		}
		if l.next() > 1 {
			c.Deltas[0].Before = named("delta", l[len(l)-1].Deltas[0].After.Reason)
		}
		l = append(l, *c)
		l[len(l)-1:].appendTo(t, s)
		wantLog(t, s, l)
	}
	change(0, time.Hour)
	change(time.Minute, 2*time.Hour)
	change(time.Hour-time.Microsecond, time.Minute)
	if n := len(l.state().Losses); n != 3 {
		t.Fatalf("%d losses count, want 3", n)
	}
	change(time.Hour, 0) // the first has ended
	change(time.Minute, 0)
	if n := len(l.state().Losses); n != 2 {
		t.Fatalf("%d losses count, want 2", n)
	}
	if _, err := s.Prune(t.Context(), noon.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, time.Now)
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "the losses after a prune and a restart", state.Losses, l.state().Losses)
	if _, err := s.Since(t.Context(), 1); err == nil {
		t.Error("the entry of losses that have ended is not pruned")
	}
}
