package lock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet/controller/lock"
)

func take(t *testing.T, w *lock.Work) {
	t.Helper()
	if err := w.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(5 * time.Second)
		holder, other := l.Begin("ada", "write"), l.Begin("bob", "write")
		take(t, holder)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := other.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Lock() = %v, want the end of the context", err)
		}
		holder.Unlock()
		take(t, other)
	})
}

func TestTurnLetsOneWorkerGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(5 * time.Second)
		first, other := l.Begin("ada", "write"), l.Begin("bob", "write")
		if err := first.TakeTurn(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		var order []string
		done := make(chan bool)
		go func() {
			take(t, other)
			order = append(order, "bob")
			other.Unlock()
			close(done)
		}()
		synctest.Wait()
		take(t, first)
		order = append(order, "ada")
		first.Unlock()
		<-done
		if !slices.Equal(order, []string{"ada", "bob"}) {
			t.Errorf("order = %v", order)
		}
	})
}

// A worker in whose turn others wait may never end.
func TestTurnEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(5 * time.Second)
		slow, other, next := l.Begin("ada", "write"), l.Begin("bob", "write"), l.Begin("cid", "write")
		if err := slow.TakeTurn(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		take(t, other)
		other.Unlock()
		if err := next.TakeTurn(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("others waited %s, want the limit of the turn", took)
		}
		next.End()
		take(t, slow)
	})
}

// Those that wait for the lock when a turn begins let it pass.
func TestTurnComesBeforeThoseThatWaitForTheLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(5 * time.Second)
		holder, waiting, turn := l.Begin("ada", "write"), l.Begin("bob", "write"), l.Begin("cid", "write")
		take(t, holder)
		got := make(chan bool)
		go func() {
			take(t, waiting)
			close(got)
		}()
		synctest.Wait()
		begun := make(chan error)
		go func() { begun <- turn.TakeTurn(t.Context(), time.Hour) }()
		synctest.Wait()
		holder.Unlock()
		if err := <-begun; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-got:
			t.Error("the lock was given to another worker in the turn of one")
		default:
		}
		take(t, turn)
		turn.Unlock()
		<-got
	})
}

func TestWatchdogReportsSlowWorkAtDoublingIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lock.New(5 * time.Second)
		ctx, stop := context.WithCancel(t.Context())
		start := time.Now()
		var at []time.Duration
		done := make(chan bool)
		go func() {
			l.Watch(ctx, func(r lock.Report) {
				if r.Actor != "ada" || r.What != "write delta/x" || r.Stage != lock.Locked || !r.Since.Equal(start) {
					t.Errorf("report = %+v", r)
				}
				at = append(at, time.Since(start))
			})
			close(done)
		}()
		quick := l.Begin("bob", "write")
		slow := l.Begin("ada", "write delta/x")
		take(t, slow)
		time.Sleep(time.Second)
		quick.End()
		time.Sleep(time.Minute)
		if got := l.Slow(); len(got) != 1 || got[0].Actor != "ada" {
			t.Errorf("Slow() = %+v", got)
		}
		slow.Unlock()
		slow.End()
		time.Sleep(time.Hour)
		stop()
		<-done
		if want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("reported at %v, want %v", at, want)
		}
		if got := l.Slow(); len(got) != 0 {
			t.Errorf("Slow() = %+v, want none", got)
		}
	})
}
