// Package tries bounds the tries of releases. A revision whose evaluation takes all memory, or more
// time than there is, would otherwise be tried again after each restart, for ever.
//
//	b := &tries.Bound{Store: store.Tries(), Timeout: 10 * time.Minute, Take: take, Refuse: refuse, Log: log}
//	err := b.Try(ctx, snapshot)
//
// A try is counted before it begins, and forgotten when it ends, however it ends: a fault of the
// revision or of the source is an end. What is left are tries that the process died of, or that were
// not finished in time. After a few of those the revision is refused.
package tries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

const (
	// Most is how many tries of a revision may stay without an end before it is refused.
	Most = 3
	// minPause is the pause between the first such try and the next. It doubles.
	minPause = 10 * time.Second
	// endTimeout is how long the store may take to forget a try.
	endTimeout = 10 * time.Second
)

// Bound tries to make releases of snapshots.
type Bound struct {
	// Store counts the tries; nil counts them as long as the process lives.
	Store fleet.TryStore
	// Timeout limits one try.
	Timeout time.Duration
	// Take makes a release of a snapshot, until its context ends.
	Take func(ctx context.Context, s *fleet.Snapshot) error
	// Refuse records that a revision is not tried again.
	Refuse func(ctx context.Context, refused *fleet.RefusedError) error
	Log    *slog.Logger

	memory memory
}

var errTooLong = errors.New("the time for one try is over")

// Try takes a snapshot, or refuses it. After a try without an end it waits for a while.
func (b *Bound) Try(ctx context.Context, s *fleet.Snapshot) error {
	store := b.Store
	if store == nil {
		store = &b.memory
	}
	before, err := store.Begin(ctx, s.Revision, 0) // counts nothing
	if err != nil {
		return err
	}
	if before.Count >= Most {
		return b.Refuse(ctx, &fleet.RefusedError{Revision: s.Revision, Problem: fleet.Problem{Message: fmt.Sprintf(
			"is not tried again: the server ended %d times while it evaluated this revision, or did not finish within %s. "+
				"See how much memory and time it needs with tributary validate; a new commit, which may be empty, is tried again, and so is this one a day later",
			before.Count, b.Timeout)}})
	}
	if before.Count > 0 {
		pause := minPause<<(before.Count-1) - before.Since
		b.Log.Warn("an earlier try of this revision did not end", "revision", s.Revision, "tries", before.Count, "of", Most, "next_in", max(0, pause).String())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	if _, err := store.Begin(ctx, s.Revision, Most); err != nil {
		return err
	}
	limited, cancel := context.WithTimeoutCause(ctx, b.Timeout, errTooLong)
	defer cancel()
	err = b.Take(limited, s)
	if err != nil && errors.Is(context.Cause(limited), errTooLong) {
		return fmt.Errorf("release of %s: was not finished within %s (--release-timeout): %w", s.Revision, b.Timeout, err)
	}
	ending, cancelEnding := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancelEnding()
	if forgotten := store.End(ending, s.Revision); forgotten != nil {
		b.Log.Warn("end of a try is not recorded", "revision", s.Revision, "err", forgotten)
	}
	return err
}

// memory counts tries of one revision at a time.
type memory struct {
	mu       sync.Mutex
	revision string
	tries    fleet.Tries
	begun    time.Time
}

// Begin implements fleet.TryStore.
func (m *memory) Begin(_ context.Context, revision string, most int) (fleet.Tries, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revision != revision {
		m.revision, m.tries = revision, fleet.Tries{}
	}
	before := m.tries
	if before.Count > 0 {
		before.Since = time.Since(m.begun)
	}
	if before.Count < most {
		m.tries.Count, m.begun = before.Count+1, time.Now()
	}
	return before, nil
}

// End implements fleet.TryStore.
func (m *memory) End(context.Context, string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision = ""
	return nil
}
