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

func pinWithoutSnapshotIsRefused(t *testing.T, open Database) {
	s := open(t, time.Now)
	c := written(1)
	c.Pins = []fleet.PinChange{{Pin: "eu", After: pin("eu", "one")}}
	if err := s.Append(t.Context(), c); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Append: error %v, want %v", err, fleet.ErrNotFound)
	}
	wantLog(t, s, nil)
	l := log{*c}
	l.in(t, s)
	wantLog(t, s, l)
}

// releaseIsListedAsItIs now, whatever it was, and its groups only where they are asked
// for or wait for a decision.
func releaseIsListedAsItIs(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*released(1, "one"), *about(fleet.ReleaseHeld, 2, "two")}
	l[0].Releases = log{}.goesOn(&l[0])
	held := release(&l[1], fleet.Held)
	held.Violations = []fleet.Violation{{Rule: "removedPerFleet", Message: strange}}
	held.Decisions = []fleet.Decision{{Verdict: fleet.Reject, Actor: strange, At: noon}}
	l[1].Releases = []*fleet.Release{held}
	l.in(t, s)
	one := release(&l[0], fleet.Live)
	wantReleases(t, s, fleet.ReleaseQuery{}, held, withoutGroups(one))
	wantRelease(t, s, one)
	wantRelease(t, s, held)

	c := released(3, "two")
	c.Releases = l.goesOn(c)
	c.Releases[0].Impact = withoutGroups(held).Impact // nothing new, so the groups are not told again
	l = append(l, *c)
	l[2:].in(t, s)
	two, old := c.Releases[0], withoutGroups(c.Releases[1])
	wantReleases(t, s, fleet.ReleaseQuery{}, two, old)
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Superseded}, old)
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Held})
	whole := *two
	whole.Impact = held.Impact
	wantRelease(t, s, &whole)
	if _, err := s.Release(t.Context(), "none"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Release that there is none of: error %v, want %v", err, fleet.ErrNotFound)
	}
}

// releaseListHasPages: a change that puts one release live supersedes another, and
// the two must not be parted, because the next page begins after their generation.
func releaseListHasPages(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	for n := range int64(7) {
		c := released(n+1, string(rune('a'+n)))
		c.Releases = l.goesOn(c)
		l = append(l, *c)
	}
	l.in(t, s)
	for limit := range 9 {
		var got []string
		q := fleet.ReleaseQuery{Limit: limit}
		for pages := 0; pages < 9; pages++ {
			page, err := s.Releases(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if limit > 0 && len(page) > limit+1 {
				t.Errorf("a page of %d has %d", limit, len(page))
			}
			for _, r := range page {
				got, q.Before = append(got, r.Revision[len("main@sha1:"):]), r.Generation
			}
		}
		wantSame(t, "pages of "+text(limit), got, []string{"g", "f", "e", "d", "c", "b", "a"})
	}
}

func wantReleases(t *testing.T, s Store, q fleet.ReleaseQuery, want ...*fleet.Release) {
	t.Helper()
	got, err := s.Releases(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Releases("+text(q)+")", append([]fleet.Release{}, got...), append([]*fleet.Release{}, want...))
}

func wantRelease(t *testing.T, s Store, want *fleet.Release) {
	t.Helper()
	got, err := s.Release(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Release("+want.ID+")", got, want)
}
