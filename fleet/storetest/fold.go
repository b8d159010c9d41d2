package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// FoldEqualsState folds the whole log of a store from generation 0 and compares the result with
// the state that the store loads. Nothing may be appended meanwhile. It may be called from a
// t.Cleanup. A log that has been pruned, or is too long to be read as changes, cannot be folded
// from its beginning; FoldEqualsState logs that and compares nothing.
func FoldEqualsState(t testing.TB, s fleet.Store) {
	t.Helper()
	ctx := context.Background() // that of the test has ended where a cleanup calls this
	loaded, err := s.Load(ctx)
	if err != nil {
		t.Errorf("Load: %v", err)
		return
	}
	all, err := s.Since(ctx, 0)
	if errors.Is(err, fleet.ErrNotFound) {
		t.Logf("the log cannot be folded from its beginning: %v", err)
		return
	}
	if err != nil {
		t.Errorf("Since(0): %v", err)
		return
	}
	state := fleet.NewState(&fleet.LogState{})
	tokens := map[string]*fleet.Token{}
	for i := range all.Changes {
		state = state.Apply(&all.Changes[i])
		for _, x := range all.Changes[i].Tokens {
			tokens[x.Token] = x.After
		}
	}
	want := logState(state)
	for _, token := range loaded.Tokens { // those that ended may have been pruned
		want.Tokens = append(want.Tokens, tokens[token.ID])
	}
	want.Releases = loaded.Releases // which the log does not have
	wantSame(t, "the stored state", loaded, want)
}

// logState returns a state in the form in which a store loads it, with nil for empty lists.
func logState(s *fleet.State) *fleet.LogState {
	return &fleet.LogState{
		Generation: s.Generation, Live: s.Live, Rollout: s.Rollout, Candidate: s.Candidate,
		Assignments: inOrder(s.Assignments), Records: inOrder(s.Records), Deltas: orNil(s.Deltas.List()), Pins: orNil(s.Pins.List()),
		Losses: orNil(s.Losses),
	}
}

func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

// inOrder returns the values that are not nil, sorted by key.
func inOrder[T any](all map[string]*T) []*T {
	var some []*T
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if all[key] != nil {
			some = append(some, all[key])
		}
	}
	return some
}
