package storetest

import (
	"testing"
	"time"
)

func unendedTriesAreCounted(t *testing.T, open Database) {
	const revision, other = "main@sha1:bad", "main@sha1:good"
	begin := func(s Store, revision string, want int) {
		t.Helper()
		before, err := s.Tries().Begin(t.Context(), revision, 2)
		if err != nil || before.Count != want || before.Since < 0 || before.Since > time.Hour {
			t.Errorf("Begin(%s) = %+v, %v, want %d", revision, before, err, want)
		}
	}
	s := open(t, time.Now)
	begin(s, revision, 0)
	begin(s, other, 0)
	again := open(t, time.Now) // a server that has taken over
	begin(again, revision, 1)
	begin(again, revision, 2)
	begin(again, revision, 2) // is not counted any more
	if err := again.Tries().End(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	begin(s, revision, 0)
	begin(s, other, 1)
}
