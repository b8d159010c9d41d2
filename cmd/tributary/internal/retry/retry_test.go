package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errBusy, errRefused = errors.New("busy"), errors.New("refused")

// busyFor makes errBusy retryable after at least this duration.
func busyFor(d time.Duration) func(error) (time.Duration, bool) {
	return func(err error) (time.Duration, bool) { return d, errors.Is(err, errBusy) }
}

// tries calls Do and returns the time of each try, counted from the first.
func tries(t *testing.T, patience, least time.Duration, outcome func(n int) error) (at []time.Duration, reported int, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		err = Do(ctx, busyFor(least), func(string, ...any) { reported++ }, func() error {
			at = append(at, time.Since(start))
			return outcome(len(at))
		})
	})
	return at, reported, err
}

func TestRetryWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	at, reported, err := tries(t, time.Hour, 0, func(n int) error {
		if n < 12 {
			return errBusy
		}
		return nil
	})
	if err != nil || len(at) != 12 || reported != 1 {
		t.Fatalf("%d tries, reported %d times, %v, want 12 tries, reported once", len(at), reported, err)
	}
	for i := 1; i < len(at); i++ {
		least := min(time.Second<<(i-1), 32*time.Second)
		if apart := at[i] - at[i-1]; apart < least || apart > 2*least {
			t.Errorf("try %d comes %v after the one before, want %v to %v", i, apart, least, 2*least)
		}
	}
}

func TestRetryWaitsAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	at, _, err := tries(t, time.Hour, 90*time.Second, func(n int) error { return map[bool]error{true: errBusy}[n < 3] })
	if err != nil || len(at) != 3 || at[1] < 90*time.Second || at[2]-at[1] < 90*time.Second {
		t.Errorf("tries at %v, %v, want them 90s apart at least", at, err)
	}
}

func TestRetryEndsAtTheDeadlineAndAtPermanentErrors(t *testing.T) {
	t.Parallel()
	at, _, err := tries(t, 10*time.Minute, 0, func(int) error { return errBusy })
	if !errors.Is(err, errBusy) || len(at) < 10 {
		t.Errorf("%d tries, %v, want more, and the last reason", len(at), err)
	}
	if at, _, err = tries(t, time.Hour, 0, func(n int) error { return errRefused }); !errors.Is(err, errRefused) || len(at) != 1 {
		t.Errorf("%d tries, %v, want one", len(at), err)
	}
}
