package fleet

import (
	"slices"
	"testing"
	"time"
)

// polling is what is known after polls with those gaps.
func polling(gaps ...time.Duration) *Poll {
	last := &Poll{At: time.Unix(0, 0)}
	for _, gap := range gaps {
		next := &Poll{At: last.At.Add(gap)}
		next.after(last)
		last = next
	}
	return last
}

func TestRhythmIsThatOfTheCluster(t *testing.T) {
	const day = 24 * time.Hour
	times := func(n int, gap time.Duration) []time.Duration { return slices.Repeat([]time.Duration{gap}, n) }
	for _, c := range []struct {
		name        string
		gaps        []time.Duration
		least, most time.Duration
	}{
		{"one poll", nil, 0, 0},
		{"two", times(1, 10*time.Minute), 10 * time.Minute, 10 * time.Minute},
		{"steady", times(50, 10*time.Minute), 10 * time.Minute, 10 * time.Minute},
		{"two at once", append(times(5, 10*time.Minute), 0, -time.Second), 10 * time.Minute, 10 * time.Minute},
		{"uneven", slices.Repeat([]time.Duration{8 * time.Minute, 12 * time.Minute}, 20), 9 * time.Minute, 11 * time.Minute},
		{"an outage", append(times(5, 10*time.Minute), day, 10*time.Minute), 10 * time.Minute, 15 * time.Minute},
		{"of a slow one", append(times(20, day), 7*day, day), 23 * time.Hour, 36 * time.Hour},
		{"an outage at first", append(times(1, 30*day), times(24, 10*time.Minute)...), 10 * time.Minute, 40 * time.Minute},
		{"two outages in a row", slices.Concat(times(5, 10*time.Minute), times(2, day), times(100, 10*time.Minute)), 10 * time.Minute, 40 * time.Minute},
		{"retries", append(times(5, 10*time.Minute), times(50, time.Second)...), 9*time.Minute + 30*time.Second, 10 * time.Minute},
		{"an outage after retries", slices.Concat(times(5, 10*time.Minute), times(3, time.Second), times(1, day)), 9 * time.Minute, 15 * time.Minute},
		{"retries of one that boots", []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 10 * time.Minute, 10 * time.Minute}, 9 * time.Minute, 10 * time.Minute},
		{"more seldom from now on", append(times(50, 30*time.Second), times(3, 10*time.Minute)...), 8 * time.Minute, 10 * time.Minute},
		{"more often from now on", append(times(50, 10*time.Minute), times(240, 30*time.Second)...), 30 * time.Second, time.Minute},
	} {
		if got := polling(c.gaps...).Every; got < c.least || got > c.most {
			t.Errorf("%s: it comes every %s, want from %s to %s", c.name, got, c.least, c.most)
		}
	}
}
