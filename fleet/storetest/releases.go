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
		l[n:n+1].appendTo(t, s)
		wantLog(t, s, l[:n+1])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, time.Now)
	wantLog(t, s, l)
	wantSnapshot(t, s, packed("two"))
}

// releaseWithoutSnapshotIsRefused, whether it goes live or is pinned.
func releaseWithoutSnapshotIsRefused(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*released(1, "one")}
	l.appendTo(t, s)
	pinned := written(2)
	pinned.Pins = []fleet.PinChange{{Pin: "eu", After: pin("eu", "two")}}
	for _, c := range []*fleet.Change{released(2, "two"), pinned} {
		if err := s.Append(t.Context(), c); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("Append: error %v, want %v", err, fleet.ErrNotFound)
		}
		wantLog(t, s, l)
	}
	l = append(l, *pinned)
	l[1:].appendTo(t, s)
	wantLog(t, s, l)
}

// releaseIsListedAsItIs now, whatever it was. The groups of its impact are listed only where they
// are asked for, or while the release waits for a decision.
func releaseIsListedAsItIs(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*released(1, "one"), *about(fleet.ReleaseHeld, 2, "two", "", fleet.Held)}
	l[0].Releases = log{}.supersede(&l[0])
	held := release(&l[1])
	held.Violations = []fleet.Violation{{Rule: "removedPerFleet", Message: strange}}
	held.Decisions = []fleet.Decision{{Verdict: fleet.Reject, Actor: strange, At: noon}}
	l[1].Releases = []*fleet.Release{held}
	l.appendTo(t, s)
	one := release(&l[0])
	wantReleases(t, s, fleet.ReleaseQuery{}, held, withoutGroups(one))
	wantRelease(t, s, one)
	wantRelease(t, s, held)

	c := released(3, "two")
	c.Releases = l.supersede(c)
	c.Releases[0].Impact = withoutGroups(held).Impact // the groups are not new, so they are left out
	l = append(l, *c)
	l[2:].appendTo(t, s)
	two, old := c.Releases[0], withoutGroups(c.Releases[1])
	wantReleases(t, s, fleet.ReleaseQuery{}, two, old)
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Superseded}, old)
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Held})
	whole := *two
	whole.Impact = held.Impact
	wantRelease(t, s, &whole)
	if _, err := s.Release(t.Context(), "none"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Release that does not exist: error %v, want %v", err, fleet.ErrNotFound)
	}
}

// releaseThatComesBackIsAnotherRow: the first row keeps the time at which it was live, and the change log
// says of each change what the source says about the revision.
func releaseThatComesBackIsAnotherRow(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	for n, snapshot := range []string{"one", "two", "one"} {
		c := released(int64(n+1), snapshot)
		c.Releases = l.supersede(c)
		c.Releases[0].Commit = &fleet.Commit{Author: strange, Subject: "about " + snapshot, At: noon}
		c.Release.Commit = c.Releases[0].Commit
		l = append(l, *c)
	}
	l.appendTo(t, s)
	first, two, last := withoutGroups(l[1].Releases[1]), withoutGroups(l[2].Releases[1]), withoutGroups(l[2].Releases[0])
	wantReleases(t, s, fleet.ReleaseQuery{}, last, two, first)
	wantReleases(t, s, fleet.ReleaseQuery{Before: 3}, two, first)
	wantRelease(t, s, l[2].Releases[0])
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Live}, l.present()...)
	if first.Generation != 1 || !first.SupersededAt.Equal(l[1].At) {
		t.Errorf("the first row is of generation %d, superseded at %s", first.Generation, first.SupersededAt)
	}
	changes, err := s.Changes(t.Context(), fleet.ChangeQuery{Generation: 2})
	if err != nil || len(changes) != 1 || changes[0].Release.Commit == nil || changes[0].Release.Commit.Subject != "about two" {
		t.Errorf("change 2 = %+v, %v, want its commit", changes, err)
	}
}

func liveReleasesIncludeRollingOut(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*released(1, "one"), *about(fleet.ReleaseRolledOut, 2, "two", "", fleet.RollingOut)}
	for i := range l {
		l[i].Releases = []*fleet.Release{release(&l[i])}
	}
	l.appendTo(t, s)
	one, two := withoutGroups(l[0].Releases[0]), withoutGroups(l[1].Releases[0])
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Live}, two, one)
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Live, Before: 2}, one)
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.RollingOut}, two)
}

// releaseListHasPages: a change that puts one release live supersedes another. The two must be on
// one page, because the next page begins after their generation.
func releaseListHasPages(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	for n := range int64(7) {
		c := released(n+1, string(rune('a'+n)))
		c.Releases = l.supersede(c)
		l = append(l, *c)
	}
	l.appendTo(t, s)
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
				got, q.Before = append(got, r.Revision[len(revisionPrefix):]), r.Generation
			}
		}
		wantSame(t, "pages of "+text(limit), got, []string{"g", "f", "e", "d", "c", "b", "a"})
	}
}
