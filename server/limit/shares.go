package limit

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/tributary-gitops/tributary/server/api"
)

// Shares gives each key a share of what changes cost: a few of its requests are worked on at one time,
// and more of them wait for those. However long the requests of one key take, those of another do not
// wait for them.
type Shares struct {
	atOnce int64

	mu   sync.Mutex // never held while a request waits
	keys map[Key]*share
}

// share is the share of a key that has requests.
type share struct {
	slots    *semaphore.Weighted
	requests int // that hold a slot, or wait for one
}

// NewShares returns shares of atOnce requests each.
func NewShares(atOnce int) *Shares {
	return &Shares{atOnce: int64(atOnce), keys: map[Key]*share{}}
}

// Enter waits until a request of a key may be worked on, or ctx ends. It returns an error at once where
// the key has most requests already. A caller that was admitted calls leave when the work has ended.
func (s *Shares) Enter(ctx context.Context, key Key, most int) (leave func(), err error) {
	own := s.join(key, most)
	if own == nil {
		return nil, &shedError{ReasonShare, 0, fmt.Errorf("%w: the credential has %d changes under way: wait for their answers", api.ErrTooMany, most)}
	}
	if err := own.slots.Acquire(ctx, 1); err != nil {
		s.quit(key, own)
		return nil, err
	}
	return func() {
		own.slots.Release(1)
		s.quit(key, own)
	}, nil
}

// join returns the share of a key with one request more, or nil where it has most.
func (s *Shares) join(key Key, most int) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.keys[key]
	if own == nil {
		own = &share{slots: semaphore.NewWeighted(s.atOnce)}
		s.keys[key] = own
	}
	if own.requests >= most {
		return nil
	}
	own.requests++
	return own
}

func (s *Shares) quit(key Key, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.requests--; own.requests == 0 {
		delete(s.keys, key)
	}
}
