package storetest

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

// wantLog holds all that a store says against the log.
func wantLog(t testing.TB, s Store, want log) {
	t.Helper()
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := int64(len(want))
	if state.Generation != last {
		t.Errorf("Generation = %d, want %d", state.Generation, last)
	}
	wantState(t, state, want)
	wantChanges(t, s, fleet.ChangeQuery{Limit: len(want) + 1}, want)
	for generation := range last + 1 {
		wantStateAt(t, s, generation, want)
	}
}

// wantState wants what a whole log adds up to.
func wantState(t testing.TB, got *fleet.LogState, want log) {
	t.Helper()
	whole := want.at(int64(len(want)))
	whole.Tokens, whole.Live = want.tokens(), want.live()
	whole.Pins, whole.Lineup, whole.Releases = want.pins(), want.lineup(), want.present()
	wantSame(t, "Load", got, whole)
	wantSecrets(t, got.Tokens, whole.Tokens)
}

// wantSecrets wants of each token what JSON does not show.
func wantSecrets(t testing.TB, got, want []*fleet.Token) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i].TokenSecret, want[i].TokenSecret
		if g.Hash != w.Hash || !slices.Equal(g.Salt, w.Salt) || !slices.Equal(g.Proof, w.Proof) {
			t.Errorf("secrets of token %s = %v, want %v", got[i].ID, g, w)
		}
	}
}

// wantChanges wants those changes, oldest first, of a query.
func wantChanges(t testing.TB, s Store, q fleet.ChangeQuery, want log) {
	t.Helper()
	got, err := s.Changes(t.Context(), q)
	if err != nil {
		t.Fatalf("Changes(%+v): %v", q, err)
	}
	slices.Reverse(got)
	wantSame(t, "Changes("+text(q)+")", log(got), slices.Clone(want))
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

// wantSame compares as JSON, which has all that a log must keep.
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
