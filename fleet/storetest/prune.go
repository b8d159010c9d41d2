package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func pruneKeepsWhatExplains(t *testing.T, open Database) {
	s, r := open(t, time.Now), seeded(t)
	l := random(r, 100)
	kept, horizon, upTo := log{}, int64(0), 0
	for _, end := range []int{30, 55, 100} { // what explains something may be dropped later
		l[upTo:end].in(t, s)
		kept, upTo = append(kept, l[upTo:end]...), end
		before := pick(r, l[end/2:end]...).At.Add(time.Nanosecond)
		var dropped log
		kept, dropped = l[:end].pruned(kept, before)
		for _, c := range dropped {
			if len(c.Deltas)+len(c.Records) > 0 {
				horizon = max(horizon, c.Generation)
			}
		}
		if n, err := s.Prune(t.Context(), before); n != int64(len(dropped)) || err != nil || n == 0 {
			t.Fatalf("Prune(%v) = %d, %v, want %d", before, n, err, len(dropped))
		}
		wantPruned(t, s, l[:end], kept, horizon)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, time.Now)
		wantPruned(t, s, l[:end], kept, horizon)
	}
}

// pruned says which of the entries that were kept are still, and which dropped.
func (l log) pruned(kept log, before time.Time) (still, dropped log) {
	needed := map[int64]bool{}
	if live := l.live(); live != nil {
		needed[live.Generation] = true
	}
	last := map[string]int64{} // of each delta and pin that is in force, and each record
	for _, c := range l {
		for _, p := range c.Pins {
			last["pin "+p.Pin] = c.Generation
			if p.After == nil {
				delete(last, "pin "+p.Pin)
			}
		}
		for _, r := range c.Records {
			last["record of "+r.Cluster] = c.Generation
			if r.After == nil {
				delete(last, "record of "+r.Cluster)
			}
		}
		for _, d := range c.Deltas {
			last[d.Delta] = c.Generation
			if d.After == nil {
				delete(last, d.Delta)
			}
		}
	}
	for _, generation := range last {
		needed[generation] = true
	}
	for _, c := range kept {
		if c.At.Before(before) && !needed[c.Generation] {
			dropped = append(dropped, c)
		} else {
			still = append(still, c)
		}
	}
	return still, dropped
}

// wantPruned wants what the whole log adds up to, and what can be told without
// the entries that were dropped.
func wantPruned(t *testing.T, s Store, whole, kept log, horizon int64) {
	t.Helper()
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := int64(len(whole))
	state.Tokens = whole.tokens() // another test has those
	wantState(t, state, whole)
	wantChanges(t, s, fleet.ChangeQuery{Limit: len(whole)}, kept)
	for generation := range last + 1 {
		if generation >= horizon {
			wantStateAt(t, s, generation, whole)
		} else if _, err := s.StateAt(t.Context(), generation); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("StateAt(%d): error %v, want %v: %d was dropped", generation, err, fleet.ErrNotFound, horizon)
		}
	}
}

// pruneOfManyDropsAll has more than any one transaction should drop.
func pruneOfManyDropsAll(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	for n := range int64(1_101) {
		c := written(n+1, set("a", "over and over"))
		if n > 0 {
			c.Deltas[0].Before = c.Deltas[0].After
		}
		l = append(l, *c)
	}
	l.in(t, s)
	future := noon.AddDate(1, 0, 0)
	if n, err := s.Prune(t.Context(), future); n != 1_100 || err != nil {
		t.Fatalf("Prune = %d, %v, want 1100", n, err)
	}
	wantPruned(t, s, l, l[1_100:], 1_100)
	l = append(l, *written(1_102, fleet.DeltaChange{Delta: "delta/a", Before: l[0].Deltas[0].After}))
	l[1_101:].in(t, s)
	if n, err := s.Prune(t.Context(), future); n != 2 || err != nil {
		t.Fatalf("Prune = %d, %v, want 2", n, err)
	}
	wantPruned(t, s, l, nil, 1_102)
}

func prunedReleasesHideNoDeltas(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*written(1, set("a", "one")), *released(2, "one"), *released(3, "two")}
	l.in(t, s)
	if n, err := s.Prune(t.Context(), noon.AddDate(1, 0, 0)); n != 1 || err != nil {
		t.Fatalf("Prune = %d, %v, want 1", n, err)
	}
	wantPruned(t, s, l, slices.Delete(slices.Clone(l), 1, 2), 0)
}
