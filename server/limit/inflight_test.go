package limit

import (
	"testing"
	"time"
)

func TestSlowRequestsHaveABoundOfTheirOwn(t *testing.T) {
	t.Parallel()
	const max = 3
	l, now := NewInflightLimiter(max), time.Now()
	fill := func(want string) {
		t.Helper()
		for range max {
			if _, err := l.Enter(now); err != nil {
				t.Fatalf("with room: %v", err)
			}
		}
		if _, err := l.Enter(now); Reason(err) != want {
			t.Fatalf("without room: %v, want %s", err, want)
		}
	}
	for range slowFactor - 1 {
		fill(ReasonBusy)
		now = now.Add(time.Second)
		if _, err := l.Enter(now); Reason(err) != ReasonBusy {
			t.Errorf("a second later: %v, want them to count as new", err)
		}
		now = now.Add(time.Second)
	}
	slot, err := l.Enter(now)
	if err != nil {
		t.Fatal(err)
	}
	l.Leave(slot)
	fill(ReasonBusy)
	now = now.Add(2 * time.Second)
	if _, err := l.Enter(now); Reason(err) != ReasonSlow {
		t.Errorf("with slow requests alone: %v, want %s", err, ReasonSlow)
	}
	if n := l.InFlight(); n != slowFactor*max {
		t.Errorf("%d are in flight, want %d", n, slowFactor*max)
	}
}
