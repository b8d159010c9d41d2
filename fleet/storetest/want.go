package storetest

import (
	"encoding/json"
	"errors"
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
	wantSame(t, "Deltas", state.Deltas, want.at(last))
	wantSame(t, "Live", state.Live, want.live())
	wantChanges(t, s, fleet.ChangeQuery{Limit: len(want) + 1}, want)
	for generation := range last + 1 {
		wantDeltasAt(t, s, generation, want)
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

func wantDeltasAt(t testing.TB, s Store, generation int64, want log) {
	t.Helper()
	got, err := s.DeltasAt(t.Context(), generation)
	if err != nil {
		t.Errorf("DeltasAt(%d): %v", generation, err)
		return
	}
	wantSame(t, "DeltasAt("+text(generation)+")", got, want.at(generation))
}

func wantSnapshot(t testing.TB, s Store, want *fleet.Packed) {
	t.Helper()
	got, err := s.Snapshot(t.Context(), want.Digest)
	switch {
	case err != nil:
		t.Error(err)
	case got.Digest != want.Digest || !slices.Equal(got.Data, want.Data):
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
