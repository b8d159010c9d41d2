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

// concurrentChangesAreAllKept runs many appenders on two handles. Each takes the generation that
// its handle sees next until it gets one. Two of each handle try at a time: if all did, each
// change would cost as many attempts as there are appenders.
func concurrentChangesAreAllKept(t *testing.T, open Database) {
	appenders := size(1_000, 200)
	handles := []Store{open(t, time.Now), open(t, time.Now)}
	slots := []chan struct{}{make(chan struct{}, 2), make(chan struct{}, 2)}
	var all sync.WaitGroup
	acknowledged := make([]int64, appenders)
	for n := range appenders {
		all.Go(func() {
			s, slot := handles[n%2], slots[n%2]
			slot <- struct{}{}
			defer func() { <-slot }()
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
			t.Errorf("change %d is of %q, want %q, as which it was acknowledged", generation, got, want)
		}
	}
	for _, s := range handles {
		state, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if state.Generation != int64(appenders) || len(state.Deltas) != appenders || len(changes) != appenders {
			t.Errorf("the log is at %d, has %d entries and %d deltas, want %d of each",
				state.Generation, len(changes), len(state.Deltas), appenders)
		}
	}
	FoldEqualsState(t, handles[0])
}

// appendNext appends a change as the next one, and returns its generation.
func appendNext(ctx context.Context, s Store, name string) (int64, error) {
	for {
		last, err := s.Generation(ctx)
		if err != nil {
			return 0, err
		}
		if err := s.Append(ctx, written(last+1, set(name, "mine"))); !errors.Is(err, fleet.ErrConflict) {
			return last + 1, err
		}
	}
}

// cancelledChangeIsKnown cancels changes at any moment. A change is in the log if and only if it
// was acknowledged.
func cancelledChangeIsKnown(t *testing.T, open Database) {
	s, r := open(t, time.Now), seeded(t)
	var l log
	for range size(100, 40) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(3_000))*time.Microsecond)
		c := written(l.next(), set(fmt.Sprint("delta-", l.next()), "whole"))
		err := s.Append(ctx, c)
		cancel()
		switch {
		case err == nil:
			l = append(l, *c)
		case !errors.Is(err, context.DeadlineExceeded):
			t.Fatalf("Append: error %v, want none or %v", err, context.DeadlineExceeded)
		}
		generation, err := s.Generation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if generation != int64(len(l)) {
			t.Fatalf("the log is at %d after %d changes that were acknowledged", generation, len(l))
		}
	}
	wantLog(t, s, l)
}

// readersSeeOneGeneration makes each change put its generation into a delta and an assignment
// while others read, and while the log is pruned.
func readersSeeOneGeneration(t *testing.T, open Database) {
	changes := int64(size(100, 25))
	s, other := open(t, time.Now), open(t, time.Now)
	var before *fleet.Assignment
	change := func(n int64) *fleet.Change {
		c := written(n, set("a", fmt.Sprint(n)))
		if n > 1 {
			c.Deltas[0].Before = named("a", fmt.Sprint(n-1))
		}
		after := assigned("eu-01", fmt.Sprint("release-", n), fleet.ReasonPinned, n)
		c.Assignments = []fleet.AssignmentChange{{Cluster: "eu-01", Before: before, After: after}}
		before = after
		return c
	}
	log{*change(1)}.appendTo(t, s)
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, handle := range []Store{s, other} {
		all.Go(func() { readUntil(t, handle, done) })
		all.Go(func() { pruneUntil(t, handle, done) })
	}
	for n := int64(2); n <= changes; n++ {
		if err := s.Append(t.Context(), change(n)); err != nil {
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
		generation := state.Generation
		wantSame(t, "Deltas", state.Deltas, []*fleet.Delta{named("a", fmt.Sprint(generation))})
		wantSame(t, "Assignments", state.Assignments, []*fleet.Assignment{assigned("eu-01", fmt.Sprint("release-", generation), fleet.ReasonPinned, generation)})
		at, err := s.StateAt(t.Context(), generation)
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
