package polls_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/polls"
)

// memory is a fleet.PollStore of one process.
type memory struct {
	mu    sync.Mutex
	polls map[string]fleet.Poll // by cluster, set and who polled by hand
	uses  map[string]time.Time
	err   error // returned by every method
	saves int   // calls of SavePolls that succeeded
}

func newMemory() *memory {
	return &memory{polls: map[string]fleet.Poll{}, uses: map[string]time.Time{}}
}

func (m *memory) SavePolls(_ context.Context, polls []fleet.Poll, uses map[string]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.saves++
	for _, p := range polls {
		if key := strings.TrimSuffix(p.Cluster+"/"+p.Set+"/"+p.By, "/"); p.At.After(m.polls[key].At) {
			m.polls[key] = p
		}
	}
	for id, at := range uses {
		if at.After(m.uses[id]) {
			m.uses[id] = at
		}
	}
	return nil
}

func (m *memory) Polls(_ context.Context, q fleet.PollQuery) (found []fleet.Poll, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.polls {
		if (q.Clusters == nil || slices.Contains(q.Clusters, p.Cluster)) && (q.Names == nil || slices.Contains(q.Names, p.DNS)) {
			found = append(found, p)
		}
	}
	return found, m.err
}

func (m *memory) Uses(context.Context) (map[string]time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.uses), m.err
}

func lastOf(t *testing.T, tracker *polls.Tracker, cluster string) []fleet.Poll {
	t.Helper()
	last, err := tracker.Last(t.Context(), []string{cluster})
	if err != nil {
		t.Fatal(err)
	}
	return last[cluster]
}

func wantEvery(t *testing.T, tracker *polls.Tracker, want time.Duration) {
	t.Helper()
	if last := lastOf(t, tracker, "ann"); len(last) != 1 || last[0].Every != want {
		t.Errorf("the last polls are %+v, want one of a cluster that polls every %s", last, want)
	}
}

func save(t *testing.T, tracker *polls.Tracker) {
	t.Helper()
	if err := tracker.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func merge(t *testing.T, tracker *polls.Tracker) {
	t.Helper()
	if err := tracker.MergeSaved(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func TestServersThatTakeTurnsKnowTheIntervalOfTheCluster(t *testing.T) {
	t.Parallel()
	store := newMemory()
	servers := []*polls.Tracker{polls.New(store), polls.New(store), polls.New(store)}
	for n := range 20 {
		one := servers[n*n%len(servers)] // not in order
		one.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 1, At: time.Unix(int64(n)*600, 0)})
		save(t, one)
	}
	for _, one := range servers {
		wantEvery(t, one, 10*time.Minute)
	}
}

func TestIntervalSurvivesARestart(t *testing.T) {
	t.Parallel()
	store := newMemory()
	record := func(tracker *polls.Tracker, n int64) {
		tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: n, At: time.Unix(n*600, 0)})
	}
	first := polls.New(store)
	for n := range int64(5) {
		record(first, n)
	}
	save(t, first)

	restarted := polls.New(store)
	merge(t, restarted)
	wantEvery(t, restarted, 10*time.Minute)
	store.saves = 0
	save(t, restarted)
	if store.saves > 0 {
		t.Error("the restarted server saved what the store has")
	}
	record(restarted, 5)
	wantEvery(t, restarted, 10*time.Minute)
	save(t, restarted)

	early := polls.New(store)
	record(early, 6) // before it knows the earlier ones
	merge(t, early)
	wantEvery(t, early, 10*time.Minute)
	save(t, early)
	if got := store.polls["ann/apps"]; got.Every != 10*time.Minute || got.Generation != 6 {
		t.Errorf("saved is %+v, want the poll of generation 6, every 10m", got)
	}
}

func TestHavePolledWantsTheReleaseInEverySet(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e6, 0)
	poll := func(set, release string, generation int64) fleet.Poll {
		return fleet.Poll{Cluster: "ann", Set: set, Release: release, Generation: generation, At: at}
	}
	later := func(p fleet.Poll) fleet.Poll { p.At = p.At.Add(time.Second); return p }
	for _, c := range []struct {
		name        string
		saved, here []fleet.Poll // what other servers saved, and what this one answered
		want        bool
	}{
		{"never polled", nil, nil, false},
		{"polled here", nil, []fleet.Poll{poll("apps", "new", 7)}, true},
		{"polled elsewhere", []fleet.Poll{poll("apps", "new", 9)}, nil, true},
		{"both sets", []fleet.Poll{poll("apps", "new", 7)}, []fleet.Poll{poll("infra", "new", 8)}, true},
		{"before the wave reached it", []fleet.Poll{poll("apps", "new", 6)}, nil, false},
		{"another release since", []fleet.Poll{poll("apps", "old", 8)}, nil, false},
		{"one set only", []fleet.Poll{poll("apps", "new", 7), poll("infra", "old", 6)}, nil, false},
		{"a set that it is no longer served", []fleet.Poll{poll("apps", "new", 7), poll("gone", "old", 6)}, nil, true},
		{"nothing but such a set", []fleet.Poll{poll("gone", "new", 7)}, nil, false},
		{"elsewhere after here", []fleet.Poll{later(poll("apps", "old", 6))}, []fleet.Poll{poll("apps", "new", 7)}, false},
		{"here after elsewhere", []fleet.Poll{poll("apps", "old", 6)}, []fleet.Poll{later(poll("apps", "new", 7))}, true},
	} {
		store := newMemory()
		tracker := polls.New(store)
		if err := store.SavePolls(t.Context(), c.saved, nil); err != nil {
			t.Fatal(err)
		}
		for _, p := range c.here {
			tracker.Record(fleet.Poll{Cluster: "ann", Set: p.Set, Release: p.Release, Generation: p.Generation, At: p.At})
		}
		last, err := tracker.Last(t.Context(), []string{"ann", "bob"})
		if err != nil {
			t.Fatal(err)
		}
		isServed := func(set string) bool { return set == "apps" || set == "infra" }
		if got := polls.HavePolled(last["ann"], isServed, "new", 7); got != c.want {
			t.Errorf("%s: HavePolled = %t, want %t", c.name, got, c.want)
		}
		if polls.HavePolled(last["bob"], isServed, "new", 7) {
			t.Errorf("%s: bob, which never polled, has the release", c.name)
		}
	}
}

// A rollout must not continue on what one server knows: another may have answered since.
func TestLastReportsThatOtherServersAreUnknown(t *testing.T) {
	t.Parallel()
	store := newMemory()
	store.err = errors.New("connection refused")
	tracker := polls.New(store)
	tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 1, At: time.Unix(1, 0)})
	tracker.Touch("t1", time.Unix(1, 0))
	if last, err := tracker.Last(t.Context(), []string{"ann"}); !errors.Is(err, store.err) || len(last["ann"]) != 1 {
		t.Errorf("Last = %v, %v; want the poll of this server, and the error", last, err)
	}
	if uses, err := tracker.Uses(t.Context()); !errors.Is(err, store.err) || len(uses) != 1 {
		t.Errorf("Uses = %v, %v; want the use of this server, and the error", uses, err)
	}
	if last, err := tracker.Last(t.Context(), nil); err != nil || len(last) != 0 {
		t.Errorf("Last of no cluster = %v, %v", last, err)
	}
}

func TestWhatCouldNotBeSavedIsSavedLater(t *testing.T) {
	t.Parallel()
	store := newMemory()
	store.err = errors.New("connection refused")
	tracker := polls.New(store)
	tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 3, At: time.Unix(5, 0), Agent: "agent"})
	tracker.Touch("t1", time.Unix(6, 0))
	for range 2 {
		if err := tracker.Save(t.Context()); !errors.Is(err, store.err) {
			t.Fatalf("Save = %v, want %v", err, store.err)
		}
	}
	store.err = nil
	save(t, tracker)
	want := fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 3, At: time.Unix(5, 0).UTC(), Agent: "agent"}
	if got := store.polls["ann/apps"]; got != want {
		t.Errorf("saved is %+v, want %+v", got, want)
	}
	if got := store.uses["t1"]; !got.Equal(time.Unix(6, 0)) {
		t.Errorf("t1 was last used %s, want %s", got, time.Unix(6, 0))
	}
	if save(t, tracker); store.saves != 1 {
		t.Errorf("saved %d times, want once and not again", store.saves)
	}
}

func TestUsesAreTheLatestOfAllServers(t *testing.T) {
	t.Parallel()
	store := newMemory()
	here, there := polls.New(store), polls.New(store)
	here.Touch("both", time.Unix(20, 0))
	here.Touch("here", time.Unix(10, 0))
	there.Touch("both", time.Unix(10, 0))
	there.Touch("there", time.Unix(30, 0))
	save(t, there)
	uses, err := here.Uses(t.Context())
	want := map[string]time.Time{"both": time.Unix(20, 0).UTC(), "here": time.Unix(10, 0).UTC(), "there": time.Unix(30, 0).UTC()}
	if err != nil || !maps.Equal(uses, want) {
		t.Errorf("Uses = %v, %v, want %v", uses, err, want)
	}
}

// A cluster that gets the name of a purged one is another cluster.
func TestPollsOfAPurgedClusterAreForgotten(t *testing.T) {
	t.Parallel()
	store := newMemory()
	tracker, other := polls.New(store), polls.New(store)
	tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 4, At: time.Unix(1, 0)})
	tracker.Record(fleet.Poll{Cluster: "bob", Set: "apps", Release: "r", Generation: 4, At: time.Unix(1, 0)})
	other.Record(fleet.Poll{Cluster: "ann", Set: "infra", Release: "r", Generation: 4, At: time.Unix(1, 0)})
	tracker.Forget("ann", 5)
	tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 4, At: time.Unix(2, 0)}) // it was being answered meanwhile
	save(t, other)                                                                                            // and so was this one
	merge(t, tracker)
	if last := lastOf(t, tracker, "ann"); len(last) > 0 {
		t.Errorf("the last polls of the purged cluster are %+v", last)
	}
	tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 6, At: time.Unix(3, 0)})
	if last := lastOf(t, tracker, "ann"); len(last) != 1 || last[0].Generation != 6 || last[0].Gap != 0 {
		t.Errorf("the last polls of the new cluster are %+v, want its own one", last)
	}
	if last := lastOf(t, tracker, "bob"); len(last) != 1 {
		t.Errorf("the last polls of bob are %+v", last)
	}
}

func TestPollsAreSortedBySet(t *testing.T) {
	t.Parallel()
	tracker := polls.New(newMemory())
	for _, set := range []string{"infra", "apps", "zoo"} {
		tracker.Record(fleet.Poll{Cluster: "ann", Set: set, Release: "r", Generation: 1, At: time.Unix(1, 0)})
	}
	save(t, tracker)
	var sets []string
	for _, p := range lastOf(t, tracker, "ann") {
		sets = append(sets, p.Set)
	}
	if !slices.Equal(sets, []string{"apps", "infra", "zoo"}) {
		t.Errorf("the sets are %v", sets)
	}
}

// A User-Agent is what the client sends, and a database takes text alone.
func TestAgentIsKeptAsText(t *testing.T) {
	t.Parallel()
	tracker := polls.New(nil)
	for agent, want := range map[string]string{
		"flux-operator/v0.33":           "flux-operator/v0.33",
		"a\x00b\xff":                    "a\uFFFDb\uFFFD",
		strings.Repeat("x", 200):        strings.Repeat("x", 128),
		strings.Repeat("x", 127) + "é!": strings.Repeat("x", 127) + "\uFFFD",
	} {
		tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 1, At: time.Unix(1, 0), Agent: agent})
		if got := lastOf(t, tracker, "ann")[0].Agent; got != want {
			t.Errorf("the agent %q is kept as %q, want %q", agent, got, want)
		}
	}
}

func TestPollsAreRecordedWhileOthersAreSaved(t *testing.T) {
	t.Parallel()
	store := newMemory()
	tracker := polls.New(store)
	const clusters, each = 8, 200
	var recording, saving sync.WaitGroup
	for n := range clusters {
		recording.Go(func() {
			for at := range int64(each) {
				tracker.Record(fleet.Poll{Cluster: fmt.Sprint("c", n), Set: "apps", Release: "r", Generation: at, At: time.Unix(at, 0)})
				tracker.Touch(fmt.Sprint("t", n), time.Unix(at, 0))
			}
		})
	}
	done := make(chan struct{})
	saving.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := tracker.Save(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	recording.Wait()
	close(done)
	saving.Wait()
	save(t, tracker)
	for n := range clusters {
		if got := store.polls[fmt.Sprintf("c%d/apps", n)]; got.Generation != each-1 || got.Every != time.Second {
			t.Errorf("saved of c%d is %+v, want the last poll, every second", n, got)
		}
		if got := store.uses[fmt.Sprint("t", n)]; !got.Equal(time.Unix(each-1, 0)) {
			t.Errorf("the last use of t%d is %s", n, got)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	tracker, now := polls.New(nil), time.Unix(1e9, 0)
	names := make([]string, 10000)
	for i := range names {
		names[i] = fmt.Sprintf("edge-%05d", i)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			tracker.Record(fleet.Poll{Cluster: names[i%len(names)], Set: "apps", Release: "r", Generation: 1, At: now, Agent: "flux-operator/v0.33"})
			tracker.Touch("t1", now)
		}
	})
}

func selector(t *testing.T, text string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestListsAreBounded holds that nobody who may poll makes the server remember without end, and that
// what is polled stays remembered.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	tracker, start := polls.New(newMemory()), time.Unix(0, 0)
	for n := range polls.MaxLists {
		if err := tracker.RecordList(t.Context(), selector(t, fmt.Sprint("n=", n)), 1, start, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := tracker.RecordList(t.Context(), selector(t, "one=more"), 1, start, ""); !errors.Is(err, fleet.ErrTooLarge) {
		t.Errorf("RecordList of one too many: %v, want %v", err, fleet.ErrTooLarge)
	}
	later := start.Add(polls.ListMemory)
	if err := tracker.RecordList(t.Context(), selector(t, "n=0"), 1, later.Add(-1), ""); err != nil {
		t.Errorf("RecordList of one that is known: %v", err)
	}
	if err := tracker.RecordList(t.Context(), selector(t, "one=more"), 1, later, ""); err != nil {
		t.Errorf("RecordList after the others were forgotten: %v", err)
	}
	if err := tracker.RecordList(t.Context(), selector(t, "long in (x"+manyValues(20)+")"), 1, later, ""); !errors.Is(err, fleet.ErrTooLarge) {
		t.Errorf("RecordList of a long selector: %v, want %v", err, fleet.ErrTooLarge)
	}
	got, err := tracker.Lists(t.Context(), later)
	if err != nil || len(got) != 2 || got[0].String() != "n=0" || got[1].String() != "one=more" {
		t.Errorf("Lists = %v, %v, want n=0 and one=more", got, err)
	}
}

// TestFirstPollOfAListIsSavedAtOnce holds that a server that ends before it saves polls leaves no list
// that another server, or the next start, does not know of.
func TestFirstPollOfAListIsSavedAtOnce(t *testing.T) {
	t.Parallel()
	store, now := newMemory(), time.Unix(1000, 0)
	tracker := polls.New(store)
	record := func(text string, at time.Time) error {
		return tracker.RecordList(t.Context(), selector(t, text), 1, at, "agent\x00")
	}
	wantKnown := func(want string) {
		t.Helper()
		lists, err := polls.New(store).Lists(t.Context(), now)
		if got := fmt.Sprint(lists); err != nil || got != want {
			t.Errorf("another server knows the lists %s, %v, want %s", got, err, want)
		}
	}
	if err := record("a=1", now); err != nil {
		t.Fatal(err)
	}
	wantKnown("[a=1]")
	store.err = errors.New("away")
	if err := record("a=1", now.Add(time.Second)); err != nil {
		t.Errorf("RecordList of a list that is known, while the store is away: %v", err)
	}
	if err := record("a=2", now); !errors.Is(err, store.err) {
		t.Errorf("RecordList of another one = %v, want %v", err, store.err)
	}
	store.err = nil
	wantKnown("[a=1]")
	if err := polls.New(store).RecordList(t.Context(), selector(t, "a=2"), 1, now, ""); err != nil {
		t.Fatal(err)
	}
	store.saves = 0
	if err := record("a=2", now.Add(time.Second)); err != nil || store.saves > 0 {
		t.Errorf("RecordList of a list that another server saved = %v, with %d saves, want none", err, store.saves)
	}
}

// manyValues returns values for a selector, each preceded by a comma.
func manyValues(n int) (text string) {
	for i := range n {
		text += fmt.Sprintf(",v%d%s", i, strings.Repeat("z", 55))
	}
	return text
}

func TestPollsByHandAreKeptApart(t *testing.T) {
	t.Parallel()
	store, now := newMemory(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	one, other := polls.New(store), polls.New(store)
	flux := fleet.Poll{Cluster: "eu-01", Set: "apps", DNS: "eu-01.example.com", Release: "old", Generation: 1, At: now}
	hand := fleet.Poll{Cluster: "eu-01", Set: "apps", DNS: "eu-01.example.com", Release: "new", Generation: 2, At: now.Add(time.Minute), By: "ada"}
	one.Record(flux)
	one.Record(hand)
	hand.At = hand.At.Add(time.Second)
	other.Record(hand)
	for _, tracker := range []*polls.Tracker{one, other} {
		if err := tracker.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tracker := range []*polls.Tracker{one, other} {
		last, err := tracker.Last(t.Context(), []string{"eu-01"})
		if want := []fleet.Poll{flux, hand}; err != nil || !slices.Equal(last["eu-01"], want) {
			t.Errorf("Last = %+v, %v, want %+v", last["eu-01"], err, want)
		}
		if polls.HavePolled(last["eu-01"], func(string) bool { return true }, "new", 2) {
			t.Error("a poll by hand shows that the cluster has a release")
		}
	}
}
