package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// inUse are the ways in which a log may need a release, and how it lets go of one.
var inUse = map[string]func(on fleet.LiveRelease) (take, letGo *fleet.Change){
	"orphaned": func(on fleet.LiveRelease) (take, letGo *fleet.Change) {
		return says(&fleet.ClusterRecord{Cluster: "eu-01", Orphaned: &fleet.Orphaned{Since: 2, Release: on}})
	},
	"stays": func(on fleet.LiveRelease) (take, letGo *fleet.Change) {
		return says(&fleet.ClusterRecord{Cluster: "eu-01", Stays: &fleet.Stay{Since: 2, Release: on, Why: "a fault"}})
	},
	"pinned": func(on fleet.LiveRelease) (take, letGo *fleet.Change) {
		take, letGo = written(0), written(0)
		p := pin("eu", "used")
		take.Pins, letGo.Pins = []fleet.PinChange{{Pin: "eu", After: p}}, []fleet.PinChange{{Pin: "eu", Before: p}}
		return take, letGo
	},
	"candidate": func(on fleet.LiveRelease) (take, letGo *fleet.Change) {
		return goes(&fleet.Lineup{Candidate: on.ID(), Snapshot: on.Snapshot})
	},
	"rollout": func(on fleet.LiveRelease) (take, letGo *fleet.Change) {
		return goes(&fleet.Lineup{Rollout: &fleet.Rollout{Release: on}})
	},
	"left": func(on fleet.LiveRelease) (take, letGo *fleet.Change) {
		other := fleet.LiveRelease{Revision: "main@sha1:other", Snapshot: digest("other")}
		return goes(&fleet.Lineup{Rollout: &fleet.Rollout{Release: other, Left: map[string]*fleet.Stay{"eu-01": {Release: on}}}})
	},
}

func says(r *fleet.ClusterRecord) (take, letGo *fleet.Change) {
	take, letGo = written(0), written(0)
	take.Records = []fleet.RecordChange{{Cluster: r.Cluster, After: r}}
	letGo.Records = []fleet.RecordChange{{Cluster: r.Cluster, Before: r, After: record(r.Cluster, "free")}}
	return take, letGo
}

func goes(l *fleet.Lineup) (take, letGo *fleet.Change) {
	take, letGo = written(0), written(0)
	take.Lineup, letGo.Lineup = l, &fleet.Lineup{}
	return take, letGo
}

// releaseInUseIsKept: neither the snapshot nor the row of a release goes for as long
// as somebody is on it or may be put on it, and both go then.
func releaseInUseIsKept(t *testing.T, open Database) {
	now := noon
	s := open(t, func() time.Time { return now })
	next := int64(0)
	put := func(c *fleet.Change) {
		next++
		c.Generation, c.At = next, noon
		log{*c}.in(t, s)
	}
	live := released(0, "live")
	for why, use := range inUse {
		used := about(fleet.ReleaseFailed, 0, "used")
		used.Releases = []*fleet.Release{release(used, fleet.Rejected)}
		take, letGo := use(*used.Release)
		put(live)
		put(used)
		put(take)
		now = now.Add(48 * time.Hour)
		if _, err := s.Prune(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Snapshot(t.Context(), digest("used")); err != nil {
			t.Errorf("%s: the snapshot is dropped: %v", why, err)
		}
		if _, err := s.Release(t.Context(), used.Release.ID()); err != nil {
			t.Errorf("%s: the release is dropped: %v", why, err)
		}
		put(letGo)
		if _, err := s.Prune(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		wantNoSnapshot(t, s, digest("used"))
		if r, err := s.Release(t.Context(), used.Release.ID()); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("%s: the release is %+v, %v after it was let go of, want %v", why, r, err, fleet.ErrNotFound)
		}
	}
}

// The last ten that went live are kept, one that did again by when it did last, and
// one that is held whatever else there is.
func lastReleasesAreKept(t *testing.T, open Database) {
	now := noon
	s := open(t, func() time.Time { return now })
	hold := about(fleet.ReleaseHeld, 1, "held")
	hold.Releases = []*fleet.Release{release(hold, fleet.Held)}
	l := log{*hold}
	for _, snapshot := range []string{"again", "a", "b", "c", "d", "e", "f", "again", "g", "h", "i", "j"} {
		c := released(int64(len(l)+1), snapshot)
		c.Releases = l.goesOn(c)
		l = append(l, *c)
	}
	l.in(t, s)
	now = now.Add(48 * time.Hour)
	prune := func(before time.Time) {
		t.Helper()
		if _, err := s.Prune(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	listed := func() int {
		all, err := s.Releases(t.Context(), fleet.ReleaseQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	prune(time.Time{}) // entries are kept for ever
	wantNoSnapshot(t, s, digest("a"))
	for _, snapshot := range []string{"held", "b", "c", "d", "e", "f", "again", "g", "h", "i", "j"} {
		wantSnapshot(t, s, packed(snapshot))
	}
	if got, want := listed(), len(l)-1; got != want {
		t.Errorf("%d releases are listed, want all %d", got, want)
	}
	prune(now)
	if got, want := listed(), 11; got != want {
		t.Errorf("%d releases are listed, want the last %d", got, want)
	}
	wantRelease(t, s, hold.Releases[0])
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Live}, l.present()...)
}
