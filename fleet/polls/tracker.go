package polls

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

const (
	// SaveInterval is how often a server saves what it recorded. Other servers learn of polls
	// that much later.
	SaveInterval = time.Second
	// ReadOnlyRetryInterval is how long a read-only server waits after a Save that failed. It
	// may lack the permission to write, and a database logs each attempt.
	ReadOnlyRetryInterval = 5 * time.Minute
)

// Tracker records polls and uses of tokens. Its methods may be called from many goroutines.
//
// For each set of each cluster it keeps the poll of Flux Operator that was recorded last, and the
// last one by hand. Of two that are recorded at the same moment it may keep either.
type Tracker struct {
	store    fleet.PollStore // nil where nothing is saved
	clusters sync.Map        // by name: *clusterPolls
	uses     sync.Map        // by token ID: *atomic.Int64, the last use in Unix microseconds

	// mu guards savedUses and the saved field of each setPoll. Record and Touch never take it.
	mu        sync.Mutex
	savedUses map[string]int64 // by token ID: the last use that the store has
}

// clusterPolls are the last polls of one cluster.
type clusterPolls struct {
	// since is the generation at which an earlier cluster of that name was purged. Polls that
	// were answered before are of that one, and are dropped.
	since int64
	sets  sync.Map // by setKey: *setPoll
}

// setKey names the polls of one set of one cluster. Those by hand are kept apart: they show neither
// that the cluster polls nor how often.
type setKey struct {
	set    string
	byHand bool
}

func keyOf(p *fleet.Poll) setKey { return setKey{p.Set, p.IsByHand()} }

// setPoll is the last poll of one set of one cluster.
type setPoll struct {
	last  atomic.Pointer[fleet.Poll] // nil until the first poll
	saved *fleet.Poll                // the last one that the store has; guarded by Tracker.mu
}

// New returns a tracker that saves to store, which may be nil.
func New(store fleet.PollStore) *Tracker {
	return &Tracker{store: store, savedUses: map[string]int64{}}
}

// load returns the value of a key. Where there is none it stores an empty one.
func load[V any](m *sync.Map, key any) *V {
	v, ok := m.Load(key)
	if !ok {
		v, _ = m.LoadOrStore(key, new(V))
	}
	return v.(*V)
}

// maxAgentBytes limits how much of a User-Agent is kept.
const maxAgentBytes = 128

// Record records that a cluster polled one of its sets and was served a release, at a
// generation. The release is empty where the cluster is decommissioned. The agent is the
// User-Agent, of which the first 128 bytes are kept. Every and Gap follow from the poll before.
func (t *Tracker) Record(poll fleet.Poll) {
	c := load[clusterPolls](&t.clusters, poll.Cluster)
	if poll.Generation < c.since {
		return
	}
	poll = asKept(poll)
	p := &poll
	s := load[setPoll](&c.sets, keyOf(p))
	for {
		before := s.last.Load()
		if before != nil {
			setInterval(p, before)
		}
		if s.last.CompareAndSwap(before, p) {
			return
		}
	}
}

// asKept returns a poll as a store can keep it.
func asKept(p fleet.Poll) fleet.Poll {
	p.Agent = p.Agent[:min(len(p.Agent), maxAgentBytes)]
	p.At, p.Agent = p.At.UTC().Truncate(time.Microsecond), strings.ReplaceAll(strings.ToValidUTF8(p.Agent, "\uFFFD"), "\x00", "\uFFFD")
	return p
}

// Touch records that a token is used.
func (t *Tracker) Touch(tokenID string, now time.Time) {
	load[atomic.Int64](&t.uses, tokenID).Store(now.UnixMicro())
}

// Forget drops the polls of a cluster that was purged by the change of that generation, and
// those that are still to come of it: another cluster that gets the name starts without any.
func (t *Tracker) Forget(cluster string, generation int64) {
	t.clusters.Store(cluster, &clusterPolls{since: generation})
}

// Last returns the last polls of clusters, by cluster and sorted by set, those by hand after the
// others: those that this server answered, and those that other servers saved. With an error it returns what this server knows.
func (t *Tracker) Last(ctx context.Context, clusters []string) (map[string][]fleet.Poll, error) {
	all := map[string][]fleet.Poll{}
	var err error
	if t.store != nil && len(clusters) > 0 {
		var saved []fleet.Poll
		saved, err = t.store.Polls(ctx, fleet.PollQuery{Clusters: clusters})
		for _, p := range saved {
			if c, ok := t.clusters.Load(p.Cluster); !ok || c.(*clusterPolls).since <= p.Generation {
				all[p.Cluster] = append(all[p.Cluster], p)
			}
		}
	}
	for _, name := range clusters {
		if c, ok := t.clusters.Load(name); ok {
			c.(*clusterPolls).sets.Range(func(_, s any) bool {
				if p := s.(*setPoll).last.Load(); p != nil {
					all[name] = append(all[name], *p)
				}
				return true
			})
		}
	}
	for name, polls := range all {
		slices.SortStableFunc(polls, func(a, b fleet.Poll) int {
			return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(min(len(a.By), 1), min(len(b.By), 1)), b.At.Compare(a.At))
		})
		all[name] = slices.CompactFunc(polls, func(a, b fleet.Poll) bool { return keyOf(&a) == keyOf(&b) })
	}
	return all, err
}

// Uses returns when tokens were last used, by ID, here and at other servers. Tokens that were
// never used are left out. With an error it returns what this server knows.
func (t *Tracker) Uses(ctx context.Context) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	var err error
	if t.store != nil {
		var saved map[string]time.Time
		saved, err = t.store.Uses(ctx)
		maps.Copy(all, saved)
	}
	t.uses.Range(func(id, use any) bool {
		micros := use.(*atomic.Int64).Load() // 0 where Touch is about to set it
		if at := fromMicros(micros); micros != 0 && at.After(all[id.(string)]) {
			all[id.(string)] = at
		}
		return true
	})
	return all, err
}

func fromMicros(at int64) time.Time { return time.UnixMicro(at).UTC() }

// Save gives the store what it does not have yet, after it has taken up what other servers saved
// of the same clusters. What could not be saved is saved by the next call.
func (t *Tracker) Save(ctx context.Context) error {
	if t.store == nil {
		return nil
	}
	polls, uses := t.unsaved()
	if len(polls)+len(uses) == 0 {
		return nil
	}
	if len(polls) > 0 {
		names := map[string]bool{}
		for _, p := range polls {
			names[p.Cluster] = true
		}
		if err := t.MergeSaved(ctx, slices.Sorted(maps.Keys(names))); err != nil {
			return err
		}
		polls, uses = t.unsaved() // the merge may have changed intervals
	}
	var list []fleet.Poll
	for _, p := range polls {
		list = append(list, *p)
	}
	times := make(map[string]time.Time, len(uses))
	for id, at := range uses {
		times[id] = fromMicros(at)
	}
	if err := t.store.SavePolls(ctx, list, times); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, p := range polls {
		s.saved = p
	}
	maps.Copy(t.savedUses, uses)
	return nil
}

// unsaved returns the polls and the uses that the store does not have.
func (t *Tracker) unsaved() (map[*setPoll]*fleet.Poll, map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	polls, uses := map[*setPoll]*fleet.Poll{}, map[string]int64{}
	t.clusters.Range(func(_, c any) bool {
		c.(*clusterPolls).sets.Range(func(_, v any) bool {
			if s := v.(*setPoll); s.last.Load() != s.saved {
				polls[s] = s.last.Load()
			}
			return true
		})
		return true
	})
	t.uses.Range(func(id, use any) bool {
		if at := use.(*atomic.Int64).Load(); at != t.savedUses[id.(string)] {
			uses[id.(string)] = at
		}
		return true
	})
	return polls, uses
}

// MergeSaved takes up the polls of clusters that the store has, of all clusters where clusters is
// nil: what other servers answered, and this one before it was restarted. Call it at start until
// it succeeds; Save does so for the clusters that it saves.
func (t *Tracker) MergeSaved(ctx context.Context, clusters []string) error {
	if t.store == nil {
		return nil
	}
	polls, err := t.store.Polls(ctx, fleet.PollQuery{Clusters: clusters})
	if err != nil {
		return err
	}
	for _, p := range polls {
		c := load[clusterPolls](&t.clusters, p.Cluster)
		if p.Generation < c.since {
			continue
		}
		if s := load[setPoll](&c.sets, keyOf(&p)); s.merge(&p) {
			t.mu.Lock()
			s.saved = &p
			t.mu.Unlock()
		}
	}
	return nil
}

// merge takes up a saved poll, and reports whether it is now the last one. A saved poll that came
// between the last poll and the one before it corrects the interval of the last.
func (s *setPoll) merge(saved *fleet.Poll) bool {
	for {
		last, next := s.last.Load(), saved
		if last != nil && !saved.At.After(last.At) {
			before := last.At.Add(-last.Gap) // when the previous poll came, as far as is known
			if saved.At.Equal(last.At) || last.Gap > 0 && !saved.At.After(before) {
				return false
			}
			again := *last
			setInterval(&again, saved)
			next = &again
		}
		if s.last.CompareAndSwap(last, next) {
			return next == saved
		}
	}
}

// HavePolled reports whether the last polls of a cluster show that it has a release as it was at
// a generation or later: it has polled at least one of the sets that it is served, and the last
// poll of each of them that it ever polled got the release. Polls of other sets do not count,
// because nobody polls those any more, and neither do polls by hand.
func HavePolled(polls []fleet.Poll, isServed func(set string) bool, releaseID string, generation int64) bool {
	polled := false
	for _, p := range polls {
		if p.IsByHand() || !isServed(p.Set) {
			continue
		}
		if p.Release != releaseID || p.Generation < generation {
			return false
		}
		polled = true
	}
	return polled
}
