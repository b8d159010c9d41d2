package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

// gone returns a cluster that was decommissioned at generation 7 and last polled its sets
// a and b at these generations; 0 for never.
func gone(a, b int64) api.Cluster {
	c := api.Cluster{State: fleet.ClusterDecommissioned, Decommissioned: &api.Decommission{Generation: 7}}
	c.Name = "edge-7"
	for set, generation := range map[string]int64{"a": a, "b": b} {
		if generation > 0 {
			c.Polls = append(c.Polls, api.Poll{Poll: fleet.Poll{Set: set, Generation: generation}})
		}
	}
	c.Inputs = map[string]int{"a": 0, "b": 0, "c": 0}
	return c
}

// follow waits while each look gets the next answer, and the last answer from then on.
func follow(t *testing.T, patience time.Duration, answers ...func() (api.Cluster, error)) (polled int, looks int, reported string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		w := Wait{
			Look: func(context.Context) (api.Cluster, error) {
				answer := answers[min(looks, len(answers)-1)]
				looks++
				return answer()
			},
			Report:  func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) },
			Timeout: patience,
		}
		polled, err = w.Do(t.Context())
		reported = b.String()
	})
	return polled, looks, reported, err
}

func always(c api.Cluster) func() (api.Cluster, error) {
	return func() (api.Cluster, error) { return c, nil }
}

func failing(err error) func() (api.Cluster, error) {
	return func() (api.Cluster, error) { return api.Cluster{}, err }
}

func TestDrainWaitsForEverySetThatWasPolled(t *testing.T) {
	t.Parallel()
	busy := &client.Refusal{Problem: api.Problem{Status: 503, Detail: "not ready"}}
	polled, looks, reported, err := follow(t, time.Hour, always(gone(6, 6)), always(gone(6, 6)), failing(busy), always(gone(7, 6)), always(gone(7, 8)))
	if err != nil || polled != 2 || looks != 5 {
		t.Errorf("wait = %d after %d looks, %v, want 2 after 5", polled, looks, err)
	}
	if want := "waiting for cluster \"edge-7\" to poll b\n"; strings.Count(reported, "to poll") != 2 || !strings.HasSuffix(reported, "not ready\n"+want) {
		t.Errorf("reported:\n%swant each reason once, in order", reported)
	}
}

func TestDrainDoesNotWaitForAClusterThatNeverPolled(t *testing.T) {
	t.Parallel()
	polled, looks, _, err := follow(t, time.Hour, always(gone(0, 0)))
	if err != nil || polled != 0 || looks != 3 { // after the polls of other servers are known
		t.Errorf("wait = %d after %d looks, %v, want 0 after 3", polled, looks, err)
	}
	if polled, _, _, err = follow(t, time.Hour, always(gone(0, 9))); err != nil || polled != 1 {
		t.Errorf("with one set: wait = %d, %v, want 1", polled, err)
	}
}

func TestDrainDoesNotWaitForASetThatIsNoLongerServed(t *testing.T) {
	t.Parallel()
	c := gone(7, 6)
	delete(c.Inputs, "b")
	if polled, looks, _, err := follow(t, time.Hour, always(c)); err != nil || polled != 1 || looks != 3 {
		t.Errorf("wait = %d after %d looks, %v, want 1 after 3", polled, looks, err)
	}
}

func TestDrainEndsAtTheTimeout(t *testing.T) {
	t.Parallel()
	start := time.Now()
	_, looks, _, err := follow(t, 10*time.Minute, always(gone(7, 6)))
	if err == nil || !strings.Contains(err.Error(), "not within 10m0s") || !strings.Contains(err.Error(), "to poll b") || looks < 200 {
		t.Errorf("after %d looks: %v", looks, err)
	}
	if time.Since(start) > time.Minute {
		t.Error("the clock was a real one")
	}
}

func TestDrainEndsWhereTheClusterIsNoLongerThere(t *testing.T) {
	t.Parallel()
	if _, _, _, err := follow(t, time.Hour, failing(fleet.ErrNotFound)); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("not found: %v", err)
	}
	back := gone(1, 1)
	back.Decommissioned = nil
	if _, _, _, err := follow(t, time.Hour, always(back)); err == nil || !strings.Contains(err.Error(), "no longer decommissioned") {
		t.Errorf("declared again: %v", err)
	}
}

// The poll of another server becomes known a little later.
func TestDrainWaitsForAPollThatIsNotYetKnown(t *testing.T) {
	t.Parallel()
	look := 0
	polled, looks, _, err := follow(t, time.Hour, func() (api.Cluster, error) {
		switch look++; {
		case look < 2:
			return gone(0, 0), nil
		case look < 6:
			return gone(6, 6), nil
		}
		return gone(7, 7), nil
	})
	if err != nil || polled != 2 || looks < 6 {
		t.Errorf("wait = %d after %d looks, %v, want 2 once it has polled", polled, looks, err)
	}
}
