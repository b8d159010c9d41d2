package follow

import (
	"testing"
	"time"
)

func TestPauseGrowsToTheIntervalAndHasJitter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failures int
		want     time.Duration
	}{{0, time.Minute}, {1, time.Second}, {2, 2 * time.Second}, {5, 16 * time.Second}, {9, time.Minute}, {1000, time.Minute}} {
		seen := map[time.Duration]bool{}
		for range 100 {
			got := Pause(time.Minute, c.failures)
			if got < c.want*9/10 || got > c.want*11/10 {
				t.Errorf("Pause(1m, %d) = %v, want %v give or take a tenth", c.failures, got, c.want)
			}
			seen[got] = true
		}
		if len(seen) < 2 {
			t.Errorf("Pause(1m, %d) is always the same", c.failures)
		}
	}
}
