package fleet

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"
)

// kept is a store that has polls, and nothing else.
type kept struct {
	Store
	polls map[string]Poll
	away  error
}

func (k *kept) SavePolls(_ context.Context, polls []Poll, _ map[string]time.Time) error {
	for _, p := range polls {
		if id := p.Cluster + "/" + p.Set; p.At.After(k.polls[id].At) {
			k.polls[id] = p
		}
	}
	return k.away
}

func (k *kept) Polls(_ context.Context, clusters []string) (found []Poll, err error) {
	for _, p := range k.polls {
		if clusters == nil || slices.Contains(clusters, p.Cluster) {
			found = append(found, p)
		}
	}
	return found, k.away
}

// tracking is a fleet of which nothing runs but what tracks polls.
func tracking(store Store) *Fleet {
	return &Fleet{cfg: Config{Store: store}, log: slog.New(slog.DiscardHandler), marks: newTracker()}
}

// on is the member of that name with two sets, on a release.
func (f *Fleet) on(name, release string) *Member {
	return &Member{
		Cluster: &Cluster{Name: name}, base: &base{release: Release{ID: release}}, marks: f.marks.of(name),
		bodies: map[string]*Body{"apps": {}, "infra": {}},
	}
}

func (f *Fleet) save(t *testing.T) {
	t.Helper()
	if err := f.marks.save(t.Context(), f.cfg.Store); err != nil {
		t.Fatal(err)
	}
}

func (f *Fleet) wantEvery(t *testing.T, want time.Duration) {
	t.Helper()
	polls := f.Polls(t.Context(), "ann")["ann"]
	if len(polls) != 1 || polls[0].Every != want {
		t.Errorf("polls are %+v, want one whose cluster comes every %s", polls, want)
	}
}

func TestServersThatTakeTurnsKnowTheRhythmOfTheCluster(t *testing.T) {
	store := &kept{polls: map[string]Poll{}}
	servers := []*Fleet{tracking(store), tracking(store), tracking(store)}
	for n := range 20 {
		f := servers[n*n%len(servers)] // not in order
		f.on("ann", "r").Polled("apps", time.Unix(int64(n)*600, 0), 1, "")
		f.save(t)
	}
	for _, f := range servers {
		f.wantEvery(t, 10*time.Minute)
	}
}

func TestRhythmSurvivesARestart(t *testing.T) {
	store := &kept{polls: map[string]Poll{}}
	poll := func(f *Fleet, n int64) { f.on("ann", "r").Polled("apps", time.Unix(n*600, 0), n, "") }
	learn := func(f *Fleet) {
		if err := f.marks.learn(t.Context(), store, nil); err != nil {
			t.Fatal(err)
		}
	}
	f := tracking(store)
	for n := range int64(5) {
		poll(f, n)
	}
	f.save(t)

	again := tracking(store)
	learn(again)
	again.wantEvery(t, 10*time.Minute)
	if polls, _ := again.marks.unsaved(); len(polls) > 0 {
		t.Errorf("%d polls that the store has are to be saved again", len(polls))
	}
	poll(again, 5)
	again.wantEvery(t, 10*time.Minute)
	again.save(t)

	early := tracking(store)
	poll(early, 6) // before it knows those of before
	learn(early)
	early.wantEvery(t, 10*time.Minute)
	early.save(t)
	if got := store.polls["ann/apps"]; got.Every != 10*time.Minute || got.Generation != 6 {
		t.Errorf("saved is %+v, want the poll of generation 6, every 10m", got)
	}
}

func TestOnlyWhoPolledTheReleaseHasIt(t *testing.T) {
	const release, generation = "new", 7
	at := time.Unix(1e6, 0)
	poll := func(set, release string, generation int64) Poll {
		return Poll{Cluster: "ann", Set: set, Release: release, Generation: generation, At: at}
	}
	later := func(p Poll) Poll { p.At = p.At.Add(time.Second); return p }
	for _, c := range []struct {
		name         string
		saved, known []Poll // what other servers saved, and what this one answered
		want         int
	}{
		{"never", nil, nil, 0},
		{"here", nil, []Poll{poll("apps", "new", 7)}, 1},
		{"there", []Poll{poll("apps", "new", 9)}, nil, 1},
		{"both sets", []Poll{poll("apps", "new", 7)}, []Poll{poll("infra", "new", 8)}, 1},
		{"before it was reached", []Poll{poll("apps", "new", 6)}, nil, 0},
		{"another release since", []Poll{poll("apps", "old", 8)}, nil, 0},
		{"one set only", []Poll{poll("apps", "new", 7), poll("infra", "old", 6)}, nil, 0},
		{"a set that it has no more", []Poll{poll("apps", "new", 7), poll("gone", "old", 6)}, nil, 1},
		{"nothing but that", []Poll{poll("gone", "new", 7)}, nil, 0},
		{"there after here", []Poll{later(poll("apps", "old", 6))}, []Poll{poll("apps", "new", 7)}, 0},
		{"here after there", []Poll{poll("apps", "old", 6)}, []Poll{later(poll("apps", "new", 7))}, 1},
	} {
		store := &kept{polls: map[string]Poll{}}
		f := tracking(store)
		if err := store.SavePolls(t.Context(), c.saved, nil); err != nil {
			t.Fatal(err)
		}
		for _, p := range c.known {
			f.on("ann", p.Release).Polled(p.Set, p.At, p.Generation, "")
		}
		members := []*Member{f.on("ann", "new"), f.on("bob", "new")}
		if got := f.polledRelease(t.Context(), members, release, generation); got != c.want {
			t.Errorf("%s: %d have polled it, want %d", c.name, got, c.want)
		}
		store.away = errors.New("the store is away")
		if got := f.polledRelease(t.Context(), members, release, generation); got != 0 {
			t.Errorf("%s: %d have polled it as far as this server knows, want none while it may not know all", c.name, got)
		}
	}
}
