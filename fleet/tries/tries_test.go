package tries_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/tries"
)

// bound returns a Bound, and the refusals that it will have recorded.
func bound(take func(context.Context, *fleet.Snapshot) error) (b *tries.Bound, refused *[]string) {
	refused = new([]string)
	return &tries.Bound{
		Timeout: time.Minute, Take: take, Log: slog.New(slog.DiscardHandler),
		Refuse: func(_ context.Context, r *fleet.RefusedError) error {
			*refused = append(*refused, r.Revision+": "+r.Problem.Message)
			return nil
		},
	}, refused
}

func untilItsEnd(ctx context.Context, _ *fleet.Snapshot) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestRevisionThatNeverEndsIsRefusedAfterThreeTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, refused := bound(untilItsEnd)
		start := time.Now()
		for range tries.Most {
			err := b.Try(t.Context(), &fleet.Snapshot{Revision: "slow"})
			if err == nil || !strings.Contains(err.Error(), "release of slow: was not finished within 1m0s (--release-timeout)") {
				t.Errorf("Try() = %v", err)
			}
		}
		if took := time.Since(start); took < 3*time.Minute || took > 4*time.Minute {
			t.Errorf("three tries took %s, want little more than three times the timeout", took)
		}
		for range 2 {
			if err := b.Try(t.Context(), &fleet.Snapshot{Revision: "slow"}); err != nil {
				t.Errorf("Try() = %v", err)
			}
		}
		if len(*refused) != 2 || !strings.HasPrefix((*refused)[0], "slow: is not tried again: the server ended 3 times while it evaluated this revision, or did not finish within 1m0s.") {
			t.Errorf("refused = %q", *refused)
		}
		// Another revision is tried.
		b.Take = func(context.Context, *fleet.Snapshot) error { return nil }
		if err := b.Try(t.Context(), &fleet.Snapshot{Revision: "good"}); err != nil || len(*refused) != 2 {
			t.Errorf("Try() = %v, refused = %q", err, *refused)
		}
	})
}

// deaths is a store that is left with tries of a server that died of them.
type deaths struct{ before fleet.Tries }

func (d *deaths) Begin(context.Context, string, int) (fleet.Tries, error) { return d.before, nil }
func (d *deaths) End(context.Context, string) error                       { d.before = fleet.Tries{}; return nil }

func TestTryAfterADeathWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := bound(func(context.Context, *fleet.Snapshot) error { return nil })
		store := &deaths{fleet.Tries{Count: 2, Since: 5 * time.Second}}
		b.Store = store
		start := time.Now()
		if err := b.Try(t.Context(), &fleet.Snapshot{Revision: "a"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("it began after %s, want 20s after the one before", took)
		}
		if store.before.Count != 0 {
			t.Error("a try that was through is not forgotten")
		}
	})
}

// TestTriesThatEndDoNotCount has ends of all other kinds.
func TestTriesThatEndDoNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fault := errors.New("a fault")
		b, refused := bound(func(context.Context, *fleet.Snapshot) error { return fault })
		for range 2 * tries.Most {
			if err := b.Try(t.Context(), &fleet.Snapshot{Revision: "a"}); !errors.Is(err, fault) {
				t.Errorf("Try() = %v", err)
			}
		}
		b.Take = untilItsEnd
		for range 2 * tries.Most { // the server stops, or the source moves on
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := b.Try(ctx, &fleet.Snapshot{Revision: "a"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Try() = %v", err)
			}
			cancel()
		}
		if len(*refused) != 0 {
			t.Errorf("refused = %q", *refused)
		}
	})
}
