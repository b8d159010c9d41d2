package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func changeComesBackAsItWas(t *testing.T, open Database) {
	expires := noon.Add(time.Hour).In(time.FixedZone("", 2*60*60))
	full := &fleet.Delta{
		Name:       strange,
		Scope:      fleet.Scope{Selector: &fleet.Selector{MatchLabels: map[string]string{strange: strange}}},
		Priority:   -7,
		Components: []string{"components/" + strange},
		Resources:  []json.RawMessage{json.RawMessage(`{"n":1.0,"big":123456789012345678901234567890,"s":"<&>\u0000"}`)},
		Patches: []fleet.Patch{{
			Patch: strange, Target: &fleet.Target{Kind: strange}, Options: fleet.PatchOptions{AllowNameChange: true},
		}},
		Edits: []fleet.Edit{
			{Kind: "K", Name: "n", Patch: json.RawMessage(`null`)},
			{Kind: "K", Name: "n", Patch: json.RawMessage(`{"a":{"b":null}}`)},
		},
		Reason:    strange,
		ExpiresAt: &expires,
	}
	own := &fleet.Delta{Cluster: "eu-01", Scope: fleet.Scope{Selector: &fleet.Selector{}}}
	s := open(t, time.Now)
	l := log{
		*written(1, fleet.DeltaChange{Delta: full.ID(), After: full}),
		*written(2, fleet.DeltaChange{Delta: full.ID(), Before: full}, fleet.DeltaChange{Delta: own.ID(), After: own}),
	}
	l[0].Actor, l[0].Reason, l[0].Clusters = strange, strange, []string{strange, "A", "a", "ä"}
	l[0].At = noon.Add(999 * time.Nanosecond).In(time.FixedZone("", -3*60*60))
	l.appendTo(t, s)

	l[0].At = noon // to the microsecond, and in UTC
	wantLog(t, s, l)
	wantChanges(t, s, fleet.ChangeQuery{Actor: strange, Cluster: strange, Delta: full.ID()}, l[:1])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantLog(t, open(t, time.Now), l)
}

func deltaThatIsNotJSONIsRefused(t *testing.T, open Database) {
	s := open(t, time.Now)
	c := written(1, set("a", "one"))
	c.Deltas[0].After.Edits[0].Patch = json.RawMessage(`{`)
	if err := s.Append(t.Context(), c); !errors.Is(err, fleet.ErrInvalid) {
		t.Errorf("Append: error %v, want %v", err, fleet.ErrInvalid)
	}
	wantLog(t, s, nil)
}

// largeChangeComesBackWhole appends changes of more rows than one statement writes.
func largeChangeComesBackWhole(t *testing.T, open Database) {
	s := open(t, time.Now)
	c := written(1)
	for n := range size(2_345, 600) {
		c.Clusters = append(c.Clusters, fmt.Sprintf("cluster-%04d", n))
		c.Deltas = append(c.Deltas, set(fmt.Sprintf("delta-%04d", n), "many"))
	}
	l := log{*c}
	l.appendTo(t, s)
	wantLog(t, s, l)
	c = written(2)
	for _, d := range l[0].Deltas[1:] {
		c.Deltas = append(c.Deltas, fleet.DeltaChange{Delta: d.Delta, Before: d.After})
	}
	l = append(l, *c)
	l[1:].appendTo(t, s)
	wantLog(t, s, l)
}

func stateIsTheFoldOfTheLog(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := random(seeded(t), 80)
	for n := range l {
		l[n:n+1].appendTo(t, s)
		if n%size(1, 4) == 0 {
			FoldEqualsState(t, s)
		}
		if n%size(20, 40) == 0 {
			wantLog(t, s, l[:n+1])
		}
	}
	if n, err := s.Prune(t.Context(), time.Time{}); n != 0 || err != nil { // where entries are kept forever
		t.Errorf("Prune = %d, %v, want 0", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantLog(t, open(t, time.Now), l)
}

func onlyTheNextGenerationIsTaken(t *testing.T, open Database) {
	s, other := open(t, time.Now), open(t, time.Now)
	l := log{*written(1, set("a", "one")), *written(2, set("b", "two"))}
	l.appendTo(t, s)
	for _, generation := range []int64{-1, 0, 1, 2, 4, 1 << 62} {
		for _, handle := range []Store{s, other} {
			err := handle.Append(t.Context(), written(generation, set("c", "lost")))
			if !errors.Is(err, fleet.ErrConflict) || errors.Is(err, fleet.ErrStore) {
				t.Errorf("Append of generation %d: error %v, want %v alone", generation, err, fleet.ErrConflict)
			}
			wantLog(t, handle, l)
		}
	}
	l = append(l, *written(3, set("c", "three")))
	l[2:].appendTo(t, other)
	wantLog(t, s, l)
}
