package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// concurrentChangesAreAllKept has a thousand appenders over two handles, each of
// which takes the generation that its handle sees next until it has one. Two of
// a handle try at a time: where all do, each change costs a thousand tries.
func concurrentChangesAreAllKept(t *testing.T, open Database) {
	const appenders = 1_000
	handles := []Store{open(t, time.Now), open(t, time.Now)}
	turns := []chan struct{}{make(chan struct{}, 2), make(chan struct{}, 2)}
	var all sync.WaitGroup
	acknowledged := make([]int64, appenders)
	for n := range appenders {
		all.Go(func() {
			s, turn := handles[n%2], turns[n%2]
			turn <- struct{}{}
			defer func() { <-turn }()
			var err error
			if acknowledged[n], err = appendNext(t.Context(), s, fmt.Sprintf("delta-%03d", n)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	changes, err := handles[0].Changes(t.Context(), fleet.ChangeQuery{Limit: 2 * appenders})
	if err != nil {
		t.Fatal(err)
	}
	byGeneration := map[int64]string{}
	for _, c := range changes {
		byGeneration[c.Generation] = c.Deltas[0].Delta
	}
	for n, generation := range acknowledged {
		if got, want := byGeneration[generation], fleet.DeltaID(fmt.Sprintf("delta-%03d", n)); got != want {
			t.Errorf("change %d is of %q, want %q, whose it was acknowledged to be", generation, got, want)
		}
	}
	for _, s := range handles {
		state, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if state.Generation != appenders || len(state.Deltas) != appenders || len(changes) != appenders {
			t.Errorf("the log is at %d, has %d entries and %d deltas, want %d of each",
				state.Generation, len(changes), len(state.Deltas), appenders)
		}
	}
}

// appendNext appends a change as the next, whichever that is.
func appendNext(ctx context.Context, s Store, name string) (int64, error) {
	for {
		state, err := s.Changes(ctx, fleet.ChangeQuery{Limit: 1})
		if err != nil {
			return 0, err
		}
		next := int64(1)
		if len(state) > 0 {
			next = state[0].Generation + 1
		}
		if err := s.Append(ctx, written(next, set(name, "mine"))); !errors.Is(err, fleet.ErrConflict) {
			return next, err
		}
	}
}

// cancelledChangeIsKnown cancels changes wherever they are: what was answered is
// what is kept.
func cancelledChangeIsKnown(t *testing.T, open Database) {
	s, r := open(t, time.Now), seeded(t)
	var l log
	for range 100 {
		next := int64(len(l) + 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(3_000))*time.Microsecond)
		c := written(next, set(fmt.Sprint("delta-", next), "whole"))
		err := s.Append(ctx, c)
		cancel()
		switch {
		case err == nil:
			l = append(l, *c)
		case !errors.Is(err, context.DeadlineExceeded):
			t.Fatalf("Append: error %v, want none or %v", err, context.DeadlineExceeded)
		}
		state, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if state.Generation != int64(len(l)) {
			t.Fatalf("the log is at %d after %d changes that were acknowledged", state.Generation, len(l))
		}
	}
	wantLog(t, s, l)
}

// readersSeeOneGeneration has readers while a delta's reason is made each
// generation's number, and while the log is pruned behind it.
func readersSeeOneGeneration(t *testing.T, open Database) {
	const changes = 100
	s, other := open(t, time.Now), open(t, time.Now)
	(log{*written(1, set("a", "1"))}).in(t, s)
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, handle := range []Store{s, other} {
		all.Go(func() { readUntil(t, handle, done) })
		all.Go(func() { pruneUntil(t, handle, done) })
	}
	for n := int64(2); n <= changes; n++ {
		c := written(n, set("a", fmt.Sprint(n)))
		c.Deltas[0].Before = named("a", fmt.Sprint(n-1))
		if err := s.Append(t.Context(), c); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	all.Wait()
}

func readUntil(t *testing.T, s Store, done <-chan struct{}) {
	for !isClosed(done) {
		state, err := s.Load(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		wantSame(t, "Deltas", state.Deltas, []*fleet.Delta{named("a", fmt.Sprint(state.Generation))})
		at, err := s.StateAt(t.Context(), state.Generation)
		if errors.Is(err, fleet.ErrNotFound) {
			continue // pruned meanwhile
		}
		if err != nil {
			t.Error(err)
			return
		}
		wantSame(t, "StateAt", at.Deltas, state.Deltas)
	}
}

func pruneUntil(t *testing.T, s Store, done <-chan struct{}) {
	for !isClosed(done) {
		if _, err := s.Prune(t.Context(), noon.AddDate(1, 0, 0)); err != nil {
			t.Error(err)
			return
		}
	}
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func handlesOpenAtOnce(t *testing.T, open Database) {
	const handles = 8
	var all sync.WaitGroup
	for n := range handles {
		all.Go(func() {
			if _, err := appendNext(t.Context(), open(t, time.Now), fmt.Sprintf("delta-%d", n)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	state, err := open(t, time.Now).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Generation != handles || len(state.Deltas) != handles {
		t.Errorf("the log is at %d and has %d deltas, want %d", state.Generation, len(state.Deltas), handles)
	}
}
