package storetest

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// wantLog compares everything that a store returns with the log: the state, the state at each
// generation, the history, and the changes from which the state is folded.
func wantLog(t testing.TB, s Store, want log) {
	t.Helper()
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if last := int64(len(want)); state.Generation != last {
		t.Errorf("Generation = %d, want %d", state.Generation, last)
	}
	wantState(t, state, want.loaded())
	wantChanges(t, s, fleet.ChangeQuery{Limit: len(want) + 1}, want)
	for generation := range int64(len(want)) + 1 {
		wantStateAt(t, s, generation, want)
	}
	all, err := s.Since(t.Context(), 0)
	if err != nil {
		if len(want) <= 1000 {
			t.Errorf("Since(0): %v", err)
		}
		return
	}
	wantSame(t, "Since(0)", append(log{}, all.Changes...), want.asChanges())
	FoldEqualsState(t, s)
}

// asChanges returns the log as Since returns it: the documents of releases are not in the log,
// and the holder of the lease matters to Append alone.
func (l log) asChanges() log {
	changes := append(log{}, l...)
	for i := range changes {
		changes[i].Releases, changes[i].Holder = nil, ""
	}
	return changes
}

// asHistory returns the log as Changes returns it.
func (l log) asHistory() log {
	changes := l.asChanges()
	for i := range changes {
		changes[i].Rollout, changes[i].Candidate, changes[i].Losses = nil, nil, nil
	}
	return changes
}

func wantState(t testing.TB, got, want *fleet.LogState) {
	t.Helper()
	wantSame(t, "Load", got, want)
	wantSecrets(t, got.Tokens, want.Tokens)
}

// wantSecrets compares what JSON does not have of tokens.
func wantSecrets(t testing.TB, got, want []*fleet.Token) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i].TokenSecret, want[i].TokenSecret
		if g.Hash != w.Hash || !slices.Equal(g.Salt, w.Salt) || !slices.Equal(g.Proof, w.Proof) {
			t.Errorf("secrets of token %s = %v, want %v", got[i].ID, g, w)
		}
	}
}

// wantChanges compares the result of a query with changes, oldest first.
func wantChanges(t testing.TB, s Store, q fleet.ChangeQuery, want log) {
	t.Helper()
	got, err := s.Changes(t.Context(), q)
	if err != nil {
		t.Fatalf("Changes(%+v): %v", q, err)
	}
	slices.Reverse(got)
	wantSame(t, "Changes("+text(q)+")", append(log{}, got...), want.asHistory())
}

func wantStateAt(t testing.TB, s Store, generation int64, want log) {
	t.Helper()
	got, err := s.StateAt(t.Context(), generation)
	if err != nil {
		t.Errorf("StateAt(%d): %v", generation, err)
		return
	}
	wantSame(t, "StateAt("+text(generation)+")", got, want.at(generation))
}

func wantSnapshot(t testing.TB, s Store, want *fleet.Packed) {
	t.Helper()
	got, err := s.Snapshot(t.Context(), want.Digest)
	switch {
	case err != nil:
		t.Error(err)
	case got.Digest != want.Digest || !slices.Equal(got.Data, want.Data) || !reflect.DeepEqual(got.Parts, want.Parts):
		t.Errorf("Snapshot(%s) has digest %s and %d other bytes, want %d bytes",
			want.Digest, got.Digest, len(got.Data), len(want.Data))
	}
}

func wantNoSnapshot(t testing.TB, s Store, digest string) {
	t.Helper()
	if _, err := s.Snapshot(t.Context(), digest); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Snapshot(%s): error %v, want %v", digest, err, fleet.ErrNotFound)
	}
}

func wantReleases(t testing.TB, s Store, q fleet.ReleaseQuery, want ...*fleet.Release) {
	t.Helper()
	got, err := s.Releases(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Releases("+text(q)+")", append([]fleet.Release{}, got...), append([]*fleet.Release{}, want...))
}

func wantRelease(t testing.TB, s Store, want *fleet.Release) {
	t.Helper()
	got, err := s.Release(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Release("+want.ID+")", got, want)
}

// wantSame compares as JSON, which has everything that a log must keep.
func wantSame(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := text(got), text(want); g != w {
		t.Errorf("%s =\n%s\nwant\n%s", what, g, w)
	}
}

func text(v any) string {
	document, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(document)
}
