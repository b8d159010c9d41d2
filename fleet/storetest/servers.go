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

// This file is about what several servers of one store rely on.

func sinceIsWhatCameAfter(t *testing.T, open Database) {
	s, l := open(t, time.Now), random(seeded(t), 60)
	l.appendTo(t, s)
	for after := int64(0); after <= int64(len(l)); after += int64(size(1, 4)) {
		later, err := s.Since(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, "Since("+text(after)+")", append(log{}, later.Changes...), l[after:].asChanges())
		wantSame(t, "releases since "+text(after), later.Releases, l.present())
		folded := l[:after].state()
		for i := range later.Changes {
			folded = folded.Apply(&later.Changes[i])
		}
		wantSame(t, "the fold of changes since "+text(after), logState(folded), logState(l.state()))
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
	if _, err := s.Since(t.Context(), l.next()); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Since a generation that is still to come: error %v, want %v", err, fleet.ErrNotFound)
	}
	if n, err := s.Prune(t.Context(), l[40].At); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := s.Since(t.Context(), 0); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Since what was pruned: error %v, want %v", err, fleet.ErrNotFound)
	}
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
			t.Error("ann does not get the lease, which is free, or cannot renew it")
		}
	}
	if lead(t, other, "bob", time.Hour) {
		t.Error("bob gets the lease that ann holds")
	}
	if err := other.ReleaseLease(t.Context(), "bob"); err != nil || lead(t, other, "bob", time.Hour) {
		t.Errorf("bob gives up the lease that ann holds (%v)", err)
	}
	if err := s.ReleaseLease(t.Context(), "ann"); err != nil || !lead(t, other, "bob", time.Microsecond) {
		t.Errorf("bob does not get the lease that ann gave up (%v)", err)
	}
	for start := time.Now(); !lead(t, s, "ann", time.Hour); { // after bob's microsecond
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
	if err := s.ReleaseLease(t.Context(), "bob"); err != nil || !lead(t, s, "ann", time.Hour) {
		t.Fatal(err)
	}
	log{*c}.appendTo(t, s)
	wantLog(t, s, log{*c})
}

func looksAreCounted(t *testing.T, open Database) {
	s, other := open(t, time.Now), open(t, time.Now)
	for want := range int64(3) {
		_, looks, err := s.Lead(t.Context(), "ann", time.Hour)
		if looks != want || err != nil {
			t.Errorf("Lead returns %d looks, %v, want %d", looks, err, want)
		}
		if err := other.RequestLook(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// listenersHearOrCannot: either Listen returns at once, or it hears every notice.
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
				t.Errorf("the notice of %s is %+v, want %+v", what, n, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("there is no notice of %s", what)
		}
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Listen: %v", err)
		}
		cancel()
		return // the store cannot notify
	case <-heard: // what may have been missed before
	}
	log{*written(1, set("a", "one"))}.appendTo(t, other)
	want("a change", fleet.Notice{})
	if err := other.RequestLook(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("a look", fleet.Notice{Look: true})
	p := packed("a release to come")
	if err := other.Announce(t.Context(), "a branch@sha1:1", p); err != nil {
		t.Fatal(err)
	}
	want("a release", fleet.Notice{Coming: fleet.ReleaseRef{Revision: "a branch@sha1:1", Snapshot: p.Digest}})
	if got, err := s.Snapshot(t.Context(), p.Digest); err != nil || !bytes.Equal(got.Data, p.Data) {
		t.Errorf("Snapshot(%q) = %v, %v, want what was announced", p.Digest, got, err)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Listen, after its context ended: %v", err)
	}
}

func lastPollStays(t *testing.T, open Database) {
	s, other := open(t, time.Now), open(t, time.Now)
	poll := func(cluster, set string, after time.Duration, generation int64) fleet.Poll {
		return fleet.Poll{
			Cluster: cluster, Set: set, At: noon.Add(after), Generation: generation, Release: strange,
			Every: time.Duration(generation) * time.Minute, Gap: time.Duration(generation) * time.Second, Agent: strange, DNS: cluster + ".example.com",
		}
	}
	save := func(s Store, use time.Duration, polls ...fleet.Poll) {
		if err := s.SavePolls(t.Context(), polls, map[string]time.Time{"a": noon.Add(use)}); err != nil {
			t.Fatal(err)
		}
	}
	save(s, 2, poll("eu-01", "b", 2, 7), poll("eu-01", "a", 2, 7), poll("us-01", "a", 0, 1))
	save(other, time.Second, poll("eu-01", "a", time.Second, 9), poll("eu-01", "b", -time.Second, 6))
	save(s, 1)
	got, err := s.Polls(t.Context(), fleet.PollQuery{Clusters: []string{"eu-01", "none"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []fleet.Poll{poll("eu-01", "a", time.Second, 9), poll("eu-01", "b", 0, 7)} {
		if i >= len(got) || got[i] != want {
			t.Errorf("Polls = %+v, want %+v at %d", got, want, i)
		}
	}
	all, err := s.Polls(t.Context(), fleet.PollQuery{})
	if err != nil || len(all) != 3 || all[0].Cluster != "eu-01" || all[2] != poll("us-01", "a", 0, 1) {
		t.Errorf("Polls of all = %+v, %v, want all 3", all, err)
	}
	byName, err := s.Polls(t.Context(), fleet.PollQuery{Names: []string{"us-01.example.com", "none", ""}})
	if err != nil || len(byName) != 1 || byName[0] != poll("us-01", "a", 0, 1) {
		t.Errorf("Polls by a dns = %+v, %v, want that of us-01", byName, err)
	}
	if none, err := s.Polls(t.Context(), fleet.PollQuery{Clusters: []string{}}); err != nil || len(none) > 0 {
		t.Errorf("Polls of no cluster = %+v, %v", none, err)
	}
	used, err := other.Uses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "Uses", used, map[string]time.Time{"a": noon.Add(time.Second)})
}

// purgedClusterHasNoPolls: the next cluster of the name has not made the polls of the one before.
func purgedClusterHasNoPolls(t *testing.T, open Database) {
	s := open(t, time.Now)
	gone := decommissioned("eu-01", nil)
	end, purge := written(1), written(2)
	end.Records = []fleet.RecordChange{{Cluster: "eu-01", After: gone}}
	purge.Kind, purge.Records = fleet.Purged, []fleet.RecordChange{{Cluster: "eu-01", Before: gone}}
	log{*end}.appendTo(t, s)
	polls := []fleet.Poll{{Cluster: "eu-01", Set: "a", At: noon, Generation: 1}, {Cluster: "us-01", Set: "a", At: noon, Generation: 1}}
	if err := s.SavePolls(t.Context(), polls, nil); err != nil {
		t.Fatal(err)
	}
	log{*purge}.appendTo(t, s)
	got, err := s.Polls(t.Context(), fleet.PollQuery{Clusters: []string{"eu-01", "us-01"}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, polls[1:]) {
		t.Errorf("Polls = %+v, want %+v", got, polls[1:])
	}
}
