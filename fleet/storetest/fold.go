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
// the state that the store loads. It may be called from a t.Cleanup. A log that has been pruned, or
// is too long to be read as changes, cannot be folded from its beginning; FoldEqualsState logs that
// and compares nothing.
func FoldEqualsState(t testing.TB, s fleet.Store) {
	t.Helper()
	ctx := context.Background() // that of the test has ended where a cleanup calls this
	loaded, all, err := loadAndFold(ctx, s)
	if errors.Is(err, fleet.ErrNotFound) {
		t.Logf("the log cannot be folded from its beginning: %v", err)
		return
	}
	if err != nil {
		t.Error(err)
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

// loadAndFold returns the state of a store and all changes that lead to it. Another server may append
// between the two, and then they are read again.
func loadAndFold(ctx context.Context, s fleet.Store) (loaded *fleet.LogState, all *fleet.LogChanges, err error) {
	for range 10 {
		if loaded, err = s.Load(ctx); err != nil {
			return nil, nil, err
		}
		if all, err = s.Since(ctx, 0); err != nil || int64(len(all.Changes)) == loaded.Generation {
			break
		}
	}
	return loaded, all, err
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
