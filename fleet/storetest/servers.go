package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// What several servers on one store rely on.

func sinceIsWhatCameAfter(t *testing.T, open Database) {
	s, l := open(t, time.Now), random(seeded(t), 60)
	l.in(t, s)
	for after := range int64(len(l)) + 1 {
		later, err := s.Since(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "Since("+text(after)+")", append(log{}, later.Changes...), append(log{}, l[after:]...))
		wantSame(t, "the lineup since "+text(after), later.Lineup, l.lineup())
		wantSame(t, "releases since "+text(after), later.Releases, l.present())
		changed := map[string]*fleet.Token{}
		for _, c := range l[after:] {
			for _, x := range c.Tokens {
				changed[x.Token] = x.After
			}
		}
		wantSame(t, "tokens since "+text(after), later.Tokens, inOrder(changed))
		alone, now, err := s.TokensSince(t.Context(), after)
		if err != nil || now != int64(len(l)) {
			t.Errorf("TokensSince(%d) are of generation %d, %v, want %d", after, now, err, len(l))
		}
		wantSame(t, "TokensSince("+text(after)+")", alone, later.Tokens)
		wantSecrets(t, later.Tokens, inOrder(changed))
	}
	if _, err := s.Since(t.Context(), int64(len(l))+1); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Since a generation that is yet to come: error %v, want %v", err, fleet.ErrNotFound)
	}
	if n, err := s.Prune(t.Context(), l[40].At); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := s.Since(t.Context(), 0); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Since what was pruned: error %v, want %v", err, fleet.ErrNotFound)
	}
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
	add("e-person", fleet.RoleAdmin, &before, &before) // that there was one is not forgotten
	log{*c}.in(t, s)
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
	uses, err := s.Uses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Uses", uses, map[string]time.Time{"a-valid": noon})
}

func frozenSnapshotIsKept(t *testing.T, open Database) {
	later := noon.Add(24 * time.Hour)
	s := open(t, func() time.Time { return later })
	l := log{*released(1, "one"), *released(2, "two")}
	frozen := record("eu-01", "frozen")
	frozen.Orphaned = &fleet.Orphaned{Since: 2, Release: *l[0].Release}
	l[1].Records = []fleet.RecordChange{{Cluster: "eu-01", After: frozen}}
	l.in(t, s)
	later = later.Add(24 * time.Hour)
	prune := func() {
		if _, err := s.Prune(t.Context(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	prune()
	wantSnapshot(t, s, packed("one"))
	wantSnapshot(t, s, packed("two"))
	c := written(3)
	c.Records = []fleet.RecordChange{{Cluster: "eu-01", Before: frozen}}
	if err := s.Append(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	prune()
	wantNoSnapshot(t, s, digest("one"))
	wantSnapshot(t, s, packed("two"))
}

func lead(t *testing.T, s Store, holder string, ttl time.Duration) bool {
	t.Helper()
	held, _, err := s.Lead(t.Context(), holder, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func oneLeads(t *testing.T, open Database) {
	s, other := open(t, time.Now), open(t, time.Now)
	for range 2 {
		if !lead(t, s, "ann", time.Hour) {
			t.Error("ann does not get the lease that nobody has, or does not keep it")
		}
	}
	if lead(t, other, "bob", time.Hour) {
		t.Error("bob gets the lease that ann holds")
	}
	if err := other.Resign(t.Context(), "bob"); err != nil || lead(t, other, "bob", time.Hour) {
		t.Errorf("bob resigns what ann holds (%v)", err)
	}
	if err := s.Resign(t.Context(), "ann"); err != nil || !lead(t, other, "bob", time.Microsecond) {
		t.Errorf("bob does not get the lease that ann gave up (%v)", err)
	}
	for start := time.Now(); !lead(t, s, "ann", time.Hour); { // once bob's microsecond is over
		if time.Since(start) > time.Minute {
			t.Fatal("ann does not get the lease that has ended")
		}
	}
}

func onlyTheLeaderChanges(t *testing.T, open Database) {
	s := open(t, time.Now)
	c := written(1, set("a", "one"))
	c.Holder = "ann"
	for range 2 {
		if err := s.Append(t.Context(), c); !errors.Is(err, fleet.ErrConflict) {
			t.Errorf("Append by ann, who does not lead: error %v, want %v", err, fleet.ErrConflict)
		}
		wantLog(t, s, nil)
		lead(t, s, "bob", time.Hour)
	}
	if err := s.Resign(t.Context(), "bob"); err != nil || !lead(t, s, "ann", time.Hour) {
		t.Fatal(err)
	}
	log{*c}.in(t, s)
	wantLog(t, s, log{*c})
}

func looksAreCounted(t *testing.T, open Database) {
	s, other := open(t, time.Now), open(t, time.Now)
	for want := range int64(3) {
		_, looks, err := s.Lead(t.Context(), "ann", time.Hour)
		if looks != want || err != nil {
			t.Errorf("Lead tells of %d looks, %v, want %d", looks, err, want)
		}
		if err := other.AskLook(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// listenersHearOrCannot: a store that says that it tells must.
func listenersHearOrCannot(t *testing.T, open Database) {
	s, other := open(t, time.Now), open(t, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan fleet.Notice, 100), make(chan error, 1)
	go func() { ended <- s.Listen(ctx, func(n fleet.Notice) { heard <- n }) }()
	want := func(what string, want fleet.Notice) {
		t.Helper()
		select {
		case n := <-heard:
			if n != want {
				t.Errorf("%s is told as %+v, want %+v", what, n, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s is not told", what)
		}
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Listen: %v", err)
		}
		cancel()
		return // it cannot tell
	case <-heard: // what may have been told before
	}
	log{*written(1, set("a", "one"))}.in(t, other)
	want("a change", fleet.Notice{})
	if err := other.AskLook(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("a look", fleet.Notice{Look: true})
	p := packed("a release to come")
	if err := other.Announce(t.Context(), "a branch@sha1:1", p); err != nil {
		t.Fatal(err)
	}
	want("a release", fleet.Notice{Coming: "a branch@sha1:1", Snapshot: p.Digest})
	if got, err := s.Snapshot(t.Context(), p.Digest); err != nil || !bytes.Equal(got.Data, p.Data) {
		t.Errorf("Snapshot(%q) = %v, %v, want what was announced", p.Digest, got, err)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Listen, its context ended: %v", err)
	}
}

func lastPollStays(t *testing.T, open Database) {
	s, other := open(t, time.Now), open(t, time.Now)
	poll := func(cluster, set string, after time.Duration, generation int64) fleet.Poll {
		return fleet.Poll{Cluster: cluster, Set: set, At: noon.Add(after), Generation: generation, Release: strange, Every: time.Duration(generation) * time.Minute, Gap: time.Duration(generation) * time.Second, Agent: strange}
	}
	save := func(s Store, use time.Duration, polls ...fleet.Poll) {
		if err := s.SavePolls(t.Context(), polls, map[string]time.Time{"a": noon.Add(use)}); err != nil {
			t.Fatal(err)
		}
	}
	save(s, 2, poll("eu-01", "b", 2, 7), poll("eu-01", "a", 2, 7), poll("us-01", "a", 0, 1))
	save(other, time.Second, poll("eu-01", "a", time.Second, 9), poll("eu-01", "b", -time.Second, 6))
	save(s, 1)
	got, err := s.Polls(t.Context(), []string{"eu-01", "none"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []fleet.Poll{poll("eu-01", "a", time.Second, 9), poll("eu-01", "b", 0, 7)} {
		if i >= len(got) || got[i] != want {
			t.Errorf("Polls = %+v, want %+v at %d", got, want, i)
		}
	}
	all, err := s.Polls(t.Context(), nil)
	if err != nil || len(all) != 3 || all[0].Cluster != "eu-01" || all[2] != poll("us-01", "a", 0, 1) {
		t.Errorf("Polls of all = %+v, %v, want the 3 there are", all, err)
	}
	if none, err := s.Polls(t.Context(), []string{}); err != nil || len(none) > 0 {
		t.Errorf("Polls of nobody = %+v, %v", none, err)
	}
	uses, err := other.Uses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Uses", uses, map[string]time.Time{"a": noon.Add(time.Second)})
}

// The next cluster of a name has not polled what the one before it has.
func purgedClusterHasNoPolls(t *testing.T, open Database) {
	s := open(t, time.Now)
	ended := record("eu-01", "gone")
	ended.Decommissioned = &fleet.Tombstone{Generation: 1}
	log{
		{Generation: 1, At: noon, Kind: fleet.Decommissioned, Actor: "ada", Records: []fleet.RecordChange{{Cluster: "eu-01", After: ended}}},
	}.in(t, s)
	polls := []fleet.Poll{{Cluster: "eu-01", Set: "a", At: noon, Generation: 1}, {Cluster: "us-01", Set: "a", At: noon, Generation: 1}}
	if err := s.SavePolls(t.Context(), polls, nil); err != nil {
		t.Fatal(err)
	}
	purge := &fleet.Change{Generation: 2, At: noon, Kind: fleet.Purged, Actor: "ada", Records: []fleet.RecordChange{{Cluster: "eu-01", Before: ended}}}
	if err := s.Append(t.Context(), purge); err != nil {
		t.Fatal(err)
	}
	got, err := s.Polls(t.Context(), []string{"eu-01", "us-01"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, polls[1:]) {
		t.Errorf("Polls = %+v, want %+v", got, polls[1:])
	}
}
