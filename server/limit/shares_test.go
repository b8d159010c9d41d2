package limit_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/limit"
)

func TestRequestsOfOneKeyDoNotKeepThoseOfAnotherWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ctx := limit.NewShares(2), t.Context()
		slow, other := limit.Key{Name: "slow"}, limit.Key{Name: "other"}
		enter := func(key limit.Key) func() {
			leave, err := s.Enter(ctx, key, 3)
			if err != nil {
				t.Fatal(err)
			}
			return leave
		}
		first, second := enter(slow), enter(slow)
		third := make(chan func())
		go func() { third <- enter(slow) }()
		synctest.Wait()
		if _, err := s.Enter(ctx, slow, 3); !errors.Is(err, api.ErrTooMany) || limit.Reason(err) != limit.ReasonShare {
			t.Errorf("a request beyond the bound = %v, want ErrTooMany", err)
		}
		enter(other)()
		select {
		case <-third:
			t.Error("more requests of a key are worked on than its share")
		default:
		}
		first()
		(<-third)()
		second()

		ended, cancel := context.WithCancel(ctx)
		cancel()
		defer enter(slow)()
		defer enter(slow)()
		if _, err := s.Enter(ended, slow, 3); !errors.Is(err, context.Canceled) {
			t.Errorf("a request whose client has left = %v, want the end of its context", err)
		}
	})
}
