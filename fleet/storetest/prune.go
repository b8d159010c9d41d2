package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

func pruneKeepsWhatExplains(t *testing.T, open Database) {
	s, r := open(t, time.Now), seeded(t)
	l := random(r, 100)
	kept, horizon, upTo := log{}, int64(0), 0
	for _, end := range []int{30, 55, 100} { // what explains something now may be dropped later
		l[upTo:end].appendTo(t, s)
		kept, upTo = append(kept, l[upTo:end]...), end
		before := pick(r, l[end/2:end]...).At.Add(time.Nanosecond)
		var dropped log
		kept, dropped = l[:end].pruned(kept, before)
		for _, c := range dropped {
			if len(c.Deltas)+len(c.Records) > 0 {
				horizon = max(horizon, c.Generation)
			}
		}
		if n, err := s.Prune(t.Context(), before); n != int64(len(dropped)) || err != nil || n == 0 {
			t.Fatalf("Prune(%v) = %d, %v, want %d", before, n, err, len(dropped))
		}
		wantPruned(t, s, l[:end], kept, horizon)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, time.Now)
		wantPruned(t, s, l[:end], kept, horizon)
	}
}

// pruned returns which of the entries that were kept so far stay, and which are dropped.
func (l log) pruned(kept log, before time.Time) (still, dropped log) {
	last := map[string]int64{} // the change that made each thing what it is
	for _, c := range l {
		set := func(what string, exists bool) {
			if last[what] = c.Generation; !exists {
				delete(last, what)
			}
		}
		for _, x := range c.Pins {
			set("pin "+x.Pin, x.After != nil)
		}
		for _, x := range c.Records {
			set("record "+x.Cluster, x.After != nil)
		}
		for _, x := range c.Deltas {
			set("delta "+x.Delta, x.After != nil)
		}
		for _, x := range c.Assignments {
			set("assignment "+x.Cluster, x.After != nil)
		}
	}
	needed := map[int64]bool{}
	if live := l.state().Live; live != nil {
		needed[live.Generation] = true
	}
	for _, generation := range last {
		needed[generation] = true
	}
	for _, c := range kept {
		if c.At.Before(before) && !needed[c.Generation] {
			dropped = append(dropped, c)
		} else {
			still = append(still, c)
		}
	}
	return still, dropped
}

// wantPruned compares the state with the whole log, and the history with the entries that were
// kept.
func wantPruned(t *testing.T, s Store, whole, kept log, horizon int64) {
	t.Helper()
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := whole.loaded()
	state.Tokens, want.Tokens = nil, nil // endedTokensArePruned has those
	wantState(t, state, want)
	wantChanges(t, s, fleet.ChangeQuery{Limit: len(whole)}, kept)
	for generation := range int64(len(whole)) + 1 {
		if generation >= horizon {
			wantStateAt(t, s, generation, whole)
		} else if _, err := s.StateAt(t.Context(), generation); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("StateAt(%d): error %v, want %v: %d was dropped", generation, err, fleet.ErrNotFound, horizon)
		}
	}
}

// pruneOfManyDropsAll has more entries than one transaction should drop.
func pruneOfManyDropsAll(t *testing.T, open Database) {
	s := open(t, time.Now)
	var l log
	for n := range int64(1_101) {
		c := written(n+1, set("a", "again and again"))
		if n > 0 {
			c.Deltas[0].Before = c.Deltas[0].After
		}
		l = append(l, *c)
	}
	l.appendTo(t, s)
	future := noon.AddDate(1, 0, 0)
	if n, err := s.Prune(t.Context(), future); n != 1_100 || err != nil {
		t.Fatalf("Prune = %d, %v, want 1100", n, err)
	}
	if _, err := s.StateAt(t.Context(), 1_099); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("StateAt(1099): error %v, want %v", err, fleet.ErrNotFound)
	}
	wantStateAt(t, s, 1_100, l)
	wantChanges(t, s, fleet.ChangeQuery{}, l[1_100:])
	l = append(l, *written(1_102, fleet.DeltaChange{Delta: "delta/a", Before: l[0].Deltas[0].After}))
	l[1_101:].appendTo(t, s)
	if n, err := s.Prune(t.Context(), future); n != 2 || err != nil {
		t.Fatalf("Prune = %d, %v, want 2", n, err)
	}
	wantStateAt(t, s, 1_102, l)
	wantChanges(t, s, fleet.ChangeQuery{}, nil)
}

func prunedReleasesHideNoDeltas(t *testing.T, open Database) {
	s := open(t, time.Now)
	l := log{*written(1, set("a", "one")), *released(2, "one"), *released(3, "two")}
	l.appendTo(t, s)
	if n, err := s.Prune(t.Context(), noon.AddDate(1, 0, 0)); n != 1 || err != nil {
		t.Fatalf("Prune = %d, %v, want 1", n, err)
	}
	wantPruned(t, s, l, slices.Delete(slices.Clone(l), 1, 2), 0)
}

// uses are the ways in which the state may need a release: a change after which it does, and one
// after which it does not.
var uses = map[string]func(on fleet.ReleaseRef) (use, end *fleet.Change){
	"assignment": func(on fleet.ReleaseRef) (use, end *fleet.Change) {
		return assigns(&fleet.Assignment{Cluster: "eu-01", Release: on, Reason: fleet.ReasonOrphaned, Since: 2})
	},
	"previous": func(on fleet.ReleaseRef) (use, end *fleet.Change) {
		return assigns(&fleet.Assignment{Cluster: "eu-01", Release: ref("live"), Reason: fleet.ReasonPinned, Since: 2,
			Previous: &fleet.Assignment{Cluster: "eu-01", Release: on, Reason: fleet.ReasonSuperseded, Since: 1}})
	},
	"pin": func(on fleet.ReleaseRef) (use, end *fleet.Change) {
		use, end = written(0), written(0)
		p := pin("eu", "used")
		use.Pins, end.Pins = []fleet.PinChange{{Pin: "eu", After: p}}, []fleet.PinChange{{Pin: "eu", Before: p}}
		return use, end
	},
	"candidate": func(on fleet.ReleaseRef) (use, end *fleet.Change) {
		use, end = written(0), written(0)
		use.Candidate, end.Candidate = &on, &fleet.ReleaseRef{}
		return use, end
	},
	"rollout": func(fleet.ReleaseRef) (use, end *fleet.Change) {
		use, end = written(0), written(0)
		use.Rollout, end.Rollout = &fleet.RolloutChange{Started: rollout(use, "used")}, &fleet.RolloutChange{Ended: true}
		return use, end
	},
	"tombstone": func(on fleet.ReleaseRef) (use, end *fleet.Change) {
		return buries(&fleet.Assignment{Cluster: "eu-01", Release: on, Reason: fleet.ReasonPinned, Since: 2})
	},
	"previous of a tombstone": func(on fleet.ReleaseRef) (use, end *fleet.Change) {
		return buries(&fleet.Assignment{Cluster: "eu-01", Reason: fleet.ReasonPinned, Since: 2,
			Previous: &fleet.Assignment{Cluster: "eu-01", Release: on, Reason: fleet.ReasonFailing, Since: 1}})
	},
}

func assigns(a *fleet.Assignment) (use, end *fleet.Change) {
	use, end = written(0), written(0)
	use.Assignments = []fleet.AssignmentChange{{Cluster: a.Cluster, After: a}}
	end.Assignments = []fleet.AssignmentChange{{Cluster: a.Cluster, Before: a}}
	return use, end
}

func buries(a *fleet.Assignment) (use, end *fleet.Change) {
	use, end = written(0), written(0)
	gone := decommissioned(a.Cluster, a)
	use.Records = []fleet.RecordChange{{Cluster: a.Cluster, After: gone}}
	end.Records = []fleet.RecordChange{{Cluster: a.Cluster, Before: gone, After: record(a.Cluster, "back")}}
	return use, end
}

// releaseInUseIsKept: neither the snapshot nor the document of a release is dropped for as long
// as the state needs it, and both are dropped then.
func releaseInUseIsKept(t *testing.T, open Database) {
	now := noon
	s := open(t, func() time.Time { return now })
	next := int64(0)
	put := func(c *fleet.Change) {
		next++
		c.Generation, c.At = next, noon
		log{*c}.appendTo(t, s)
	}
	for why, use := range uses {
		used := about(fleet.ReleaseDecided, 0, "used", fleet.Held, fleet.Rejected)
		used.Releases = []*fleet.Release{release(used)}
		begin, end := use(ref("used"))
		put(released(0, "live"))
		put(used)
		put(begin)
		now = now.Add(48 * time.Hour)
		if _, err := s.Prune(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Snapshot(t.Context(), digest("used")); err != nil {
			t.Errorf("%s: the snapshot is dropped: %v", why, err)
		}
		if _, err := s.Release(t.Context(), ref("used").ID()); err != nil {
			t.Errorf("%s: the release is dropped: %v", why, err)
		}
		put(end)
		if _, err := s.Prune(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		wantNoSnapshot(t, s, digest("used"))
		if r, err := s.Release(t.Context(), ref("used").ID()); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("%s: the release is %+v, %v when nothing needs it, want %v", why, r, err, fleet.ErrNotFound)
		}
	}
}

// lastReleasesAreKept: the ten that went live last, one that went live twice by the last time, with both
// its rows, and
// one that is held, whatever else there is.
func lastReleasesAreKept(t *testing.T, open Database) {
	now := noon
	s := open(t, func() time.Time { return now })
	hold := about(fleet.ReleaseHeld, 1, "held", "", fleet.Held)
	hold.Releases = []*fleet.Release{release(hold)}
	l := log{*hold}
	for _, snapshot := range []string{"again", "a", "b", "c", "d", "e", "f", "again", "g", "h", "i", "j"} {
		c := released(l.next(), snapshot)
		c.Releases = l.supersede(c)
		l = append(l, *c)
	}
	l.appendTo(t, s)
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
	prune(time.Time{}) // entries are kept forever
	wantNoSnapshot(t, s, digest("a"))
	for _, snapshot := range []string{"held", "b", "c", "d", "e", "f", "again", "g", "h", "i", "j"} {
		wantSnapshot(t, s, packed(snapshot))
	}
	if got, want := listed(), len(l); got != want {
		t.Errorf("%d releases are listed, want all %d", got, want)
	}
	prune(now)
	if got, want := listed(), 12; got != want {
		t.Errorf("%d releases are listed, want the last %d", got, want)
	}
	wantRelease(t, s, hold.Releases[0])
	wantReleases(t, s, fleet.ReleaseQuery{State: fleet.Live}, l.present()...)
}

func endedTokensArePruned(t *testing.T, open Database) {
	s := open(t, time.Now)
	before, after := noon.Add(-time.Second), noon.Add(time.Second)
	c := written(1)
	add := func(id string, role fleet.Role, expires, revoked *time.Time) {
		k := token(id)
		k.Role, k.ExpiresAt, k.RevokedAt = role, expires, revoked
		c.Tokens = append(c.Tokens, fleet.TokenChange{Token: id, After: k})
	}
	add("a-valid", fleet.RoleCluster, nil, nil)
	add("b-expired", fleet.RoleCluster, &before, nil)
	add("c-revoked", fleet.RoleBootstrap, &after, &before)
	add("d-expires", fleet.RoleCluster, &after, nil)
	add("e-person", fleet.RoleAdmin, &before, &before) // that there was one must not be forgotten
	log{*c}.appendTo(t, s)
	if err := s.SavePolls(t.Context(), nil, map[string]time.Time{"a-valid": noon, "b-expired": noon}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, k := range state.Tokens {
		left = append(left, k.ID)
	}
	wantSame(t, "tokens", left, []string{"a-valid", "d-expires", "e-person"})
	used, err := s.Uses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Uses", used, map[string]time.Time{"a-valid": noon})
}
