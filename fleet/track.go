package fleet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tracker knows who polled last and which tokens were used, as far as this server
// answered. To note that costs a poll no lock and no write: it is saved now and then.
type tracker struct {
	// What views count and share, having nothing else of the fleet.
	renders    renders
	lastCounts atomic.Pointer[map[string]int]
	mu         sync.Mutex
	clusters   map[string]*marks        // by name
	uses       map[string]*atomic.Int64 // by token: when it was used, in microseconds; 0 for never
	saved      map[string]int64         // what of that the store has
}

// marks are the last polls of one cluster, by set.
type marks struct {
	lastCounts *atomic.Pointer[map[string]int] // the tracker's
	sets       sync.Map                        // string → *mark
}

type mark struct {
	last  atomic.Pointer[Poll]
	saved *Poll // the last that the store has; guarded by the tracker
}

func newTracker() *tracker {
	t := &tracker{clusters: map[string]*marks{}, uses: map[string]*atomic.Int64{}, saved: map[string]int64{}}
	t.lastCounts.Store(&map[string]int{})
	return t
}

// of is the marks of a cluster, which are the same for as long as the process lives.
func (t *tracker) of(cluster string) *marks {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.clusters[cluster]
	if m == nil {
		m = &marks{lastCounts: &t.lastCounts}
		t.clusters[cluster] = m
	}
	return m
}

// forget drops the marks of a cluster that was purged, so that they are not taken
// for those of another that gets its name.
func (t *tracker) forget(cluster string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.clusters, cluster)
}

// use is where the use of a token is noted.
func (t *tracker) use(token string) *atomic.Int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.uses[token]
	if u == nil {
		u = &atomic.Int64{}
		t.uses[token] = u
	}
	return u
}

// of is the mark of a set.
func (m *marks) of(set string) *mark {
	k, ok := m.sets.Load(set)
	if !ok {
		k, _ = m.sets.LoadOrStore(set, &mark{})
	}
	return k.(*mark)
}

// longestAgent is how much of a User-Agent is kept, in bytes.
const longestAgent = 128

// Polled notes that the member polled a set that it has, and was answered at a
// generation.
func (m *Member) Polled(set string, now time.Time, generation int64, agent string) {
	if len(agent) > longestAgent {
		agent = agent[:longestAgent]
	}
	p := &Poll{
		Cluster: m.Cluster.Name, Set: set, At: now.UTC().Truncate(time.Microsecond), Generation: generation,
		Agent: strings.ReplaceAll(strings.ToValidUTF8(agent, "\uFFFD"), "\x00", "\uFFFD"),
	}
	if m.tombstone == nil { // else it was given that it is to have nothing
		p.Release = m.base.release.ID
	}
	k := m.marks.of(set)
	if before := k.last.Load(); before != nil {
		p.after(before)
	}
	k.last.Store(p) // of two at once either may be the last
}

// saveInterval is how often polls and uses are saved: other servers know of them
// that much later.
const saveInterval = time.Second

// refusedInterval is how often a read-only server tries, which may have no right to:
// the database would log each try.
const refusedInterval = 5 * time.Minute

// savePolls takes up those that were saved before, and then saves them now and then,
// until ctx ends, and what is left.
func (f *Fleet) savePolls(ctx context.Context) {
	if f.cfg.Store == nil {
		return
	}
	primed, pause := f.marks.learn(ctx, f.cfg.Store, nil) == nil, saveInterval
	for down := false; ; {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*saveInterval)
			defer cancel()
			_ = f.marks.save(last, f.cfg.Store) // the store may be why the process ends
			return
		case <-time.After(pause):
		}
		err := f.marks.save(ctx, f.cfg.Store)
		if !primed {
			primed = f.marks.learn(ctx, f.cfg.Store, nil) == nil
		}
		if err != nil && !down && ctx.Err() == nil {
			f.log.Warn("last polls are not saved, so that other servers do not know of them", "err", err)
		}
		down, pause = err != nil, saveInterval
		if down && f.cfg.ReadOnly {
			pause = refusedInterval
		}
	}
}

// save gives the store what it does not have, once it is known what others have saved
// of the same clusters.
func (t *tracker) save(ctx context.Context, store Tracker) error {
	if polls, uses := t.unsaved(); len(polls) > 0 {
		if err := t.learn(ctx, store, clustersOf(polls)); err != nil {
			return err
		}
	} else if len(uses) == 0 {
		return nil
	}
	polls, uses := t.unsaved()
	err := ask(ctx, func(ctx context.Context) error { return store.SavePolls(ctx, values(polls), times(uses)) })
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, p := range polls {
		k.saved = p
	}
	maps.Copy(t.saved, uses)
	return nil
}

func (t *tracker) unsaved() (map[*mark]*Poll, map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	polls, uses := map[*mark]*Poll{}, map[string]int64{}
	for _, m := range t.clusters {
		m.sets.Range(func(_, v any) bool {
			if k := v.(*mark); k.last.Load() != k.saved {
				polls[k] = k.last.Load()
			}
			return true
		})
	}
	for id, u := range t.uses {
		if at := u.Load(); at != t.saved[id] {
			uses[id] = at
		}
	}
	return polls, uses
}

func clustersOf(polls map[*mark]*Poll) []string {
	names := map[string]bool{}
	for _, p := range polls {
		names[p.Cluster] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func values(polls map[*mark]*Poll) []Poll {
	var all []Poll
	for _, p := range polls {
		all = append(all, *p)
	}
	return all
}

func times(micros map[string]int64) map[string]time.Time {
	all := make(map[string]time.Time, len(micros))
	for id, at := range micros {
		all[id] = time.UnixMicro(at).UTC()
	}
	return all
}

// Polls returns the last polls of clusters by cluster, sorted by set: those that
// this server answered, and those that others have saved. Where the store is away
// it is what this one knows.
func (f *Fleet) Polls(ctx context.Context, clusters ...string) map[string][]Poll {
	polls, err := f.lastPolls(ctx, clusters)
	if err != nil {
		f.log.Warn("last polls of other servers are not known", "err", err)
	}
	return polls
}

// lastPolls does so too, and returns an error where it is what this server knows.
func (f *Fleet) lastPolls(ctx context.Context, clusters []string) (map[string][]Poll, error) {
	all := map[string]map[string]Poll{}
	note := func(p Poll) {
		if all[p.Cluster] == nil {
			all[p.Cluster] = map[string]Poll{}
		}
		if p.At.After(all[p.Cluster][p.Set].At) {
			all[p.Cluster][p.Set] = p
		}
	}
	var err error
	if f.cfg.Store != nil && len(clusters) > 0 {
		var saved []Poll
		err = askFor(ctx, extraTime, func(ctx context.Context) (err error) {
			saved, err = f.cfg.Store.Polls(ctx, clusters)
			return err
		})
		for _, p := range saved {
			note(p)
		}
	}
	for _, name := range clusters {
		f.marks.of(name).sets.Range(func(_, v any) bool {
			if p := v.(*mark).last.Load(); p != nil {
				note(*p)
			}
			return true
		})
	}
	sorted := map[string][]Poll{}
	for name, bySet := range all {
		sorted[name] = slices.SortedFunc(maps.Values(bySet), func(a, b Poll) int { return cmp.Compare(a.Set, b.Set) })
	}
	return sorted, err
}
