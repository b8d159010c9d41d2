package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func releaseGoesLive(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*released(1, "one"), *written(2, set("a", "two")), *released(3, "two"), *written(4, set("b", "four"))}
	for n := range l {
		l[n:n+1].in(t, s)
		wantLog(t, s, l[:n+1])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, time.Now)
	wantLog(t, s, l)
	wantSnapshot(t, s, packed("two"))
}

func releaseWithoutSnapshotIsRefused(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*released(1, "one")}
	l.in(t, s)
	if err := s.Append(t.Context(), released(2, "two")); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Append: error %v, want %v", err, fleet.ErrNotFound)
	}
	wantLog(t, s, l)
}
