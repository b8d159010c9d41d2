package fleet

import "context"

// learn takes up the polls that the store has of clusters, of all where none is named:
// what other servers answered, and this one before it was restarted.
func (t *tracker) learn(ctx context.Context, store Tracker, clusters []string) error {
	var polls []Poll
	err := ask(ctx, func(ctx context.Context) (err error) {
		polls, err = store.Polls(ctx, clusters)
		return err
	})
	for i := range polls {
		p := &polls[i]
		k := t.of(p.Cluster).of(p.Set)
		if k.learn(p) {
			t.mu.Lock()
			k.saved = p
			t.mu.Unlock()
		}
	}
	return err
}

// learn takes up a poll that is saved. It tells whether that is the last now; else the
// last goes on from it, where it is the one before that.
func (k *mark) learn(p *Poll) bool {
	for {
		last, next := k.last.Load(), p
		if last != nil && !p.At.After(last.At) {
			since := last.At.Add(-last.Gap) // when the one before was, as far as is known
			if p.At.Equal(last.At) || last.Gap > 0 && !p.At.After(since) {
				return false
			}
			again := *last
			again.after(p)
			next = &again
		}
		if k.last.CompareAndSwap(last, next) {
			return next == p
		}
	}
}
