package polls_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/polls"
)

// every returns the interval that is known after a first poll and one after each gap.
func every(t *testing.T, gaps []time.Duration) time.Duration {
	t.Helper()
	tracker, now := polls.New(nil), time.Unix(1e9, 0)
	tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 1, At: now})
	for _, gap := range gaps {
		now = now.Add(gap)
		tracker.Record(fleet.Poll{Cluster: "ann", Set: "apps", Release: "r", Generation: 1, At: now})
	}
	return lastOf(t, tracker, "ann")[0].Every
}

func TestIntervalFollowsTheCluster(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	times := func(n int, gap time.Duration) []time.Duration { return slices.Repeat([]time.Duration{gap}, n) }
	for _, c := range []struct {
		name     string
		gaps     []time.Duration
		min, max time.Duration
	}{
		{"one poll", nil, 0, 0},
		{"two polls", times(1, 10*time.Minute), 10 * time.Minute, 10 * time.Minute},
		{"two polls a day apart", times(1, day), time.Hour, time.Hour},
		{"steady", times(50, 10*time.Minute), 10 * time.Minute, 10 * time.Minute},
		{"two at once, and a clock set back", append(times(5, 10*time.Minute), 0, -time.Second), 10 * time.Minute, 10 * time.Minute},
		{"uneven", slices.Repeat([]time.Duration{8 * time.Minute, 12 * time.Minute}, 20), 9 * time.Minute, 11 * time.Minute},
		{"an outage", append(times(5, 10*time.Minute), day, 10*time.Minute), 10 * time.Minute, 15 * time.Minute},
		{"an outage of a slow cluster", append(times(20, day), 7*day, day), 23 * time.Hour, 36 * time.Hour},
		{"an outage at first", append(times(1, 30*day), times(24, 10*time.Minute)...), 10 * time.Minute, 40 * time.Minute},
		{"two outages in a row", slices.Concat(times(5, 10*time.Minute), times(2, day), times(100, 10*time.Minute)), 10 * time.Minute, 40 * time.Minute},
		{"retries", append(times(5, 10*time.Minute), times(50, time.Second)...), 9*time.Minute + 30*time.Second, 10 * time.Minute},
		{"an outage after retries", slices.Concat(times(5, 10*time.Minute), times(3, time.Second), times(1, day)), 9 * time.Minute, 15 * time.Minute},
		{"retries while booting", []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 10 * time.Minute, 10 * time.Minute}, 9 * time.Minute, 10 * time.Minute},
		{"less often from now on", append(times(50, 30*time.Second), times(3, 10*time.Minute)...), 8 * time.Minute, 10 * time.Minute},
		{"more often from now on", append(times(50, 10*time.Minute), times(240, 30*time.Second)...), 30 * time.Second, time.Minute},
	} {
		if got := every(t, c.gaps); got < c.min || got > c.max {
			t.Errorf("%s: the interval is %s, want %s to %s", c.name, got, c.min, c.max)
		}
	}
}
