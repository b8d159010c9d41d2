package follow

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// pushed is a source that holds the revision that was pushed last.
type pushed struct {
	mu       sync.Mutex
	revision string
}

func (p *pushed) String() string { return "pushed" }

func (p *pushed) push(revision string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision = revision
}

func (p *pushed) Fetch(_ context.Context, known string) (*fleet.Snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revision == known {
		return nil, nil
	}
	return &fleet.Snapshot{Revision: p.revision}, nil
}

func (p *pushed) Watch(context.Context, func()) error { return nil }

// takes follows a source for a while. Each Take lasts as long as lasting says, or until its context
// ends. It returns what was taken.
func takes(t *testing.T, source *pushed, lasting func(revision string) time.Duration, during func()) (taken, givenUp []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &Follower{
		Source: source, Interval: 10 * time.Second, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler), Requests: make(chan struct{}, 1),
		Fetched: func(time.Duration, error) {}, Looked: func(error) {},
		Take: func(ctx context.Context, s *fleet.Snapshot) error {
			select {
			case <-time.After(lasting(s.Revision)):
				taken = append(taken, s.Revision)
				return nil
			case <-ctx.Done():
				if errors.Is(context.Cause(ctx), ErrMovedOn) {
					givenUp = append(givenUp, s.Revision)
				}
				return ctx.Err()
			}
		},
	}
	done := make(chan bool)
	go func() {
		f.Run(ctx, "")
		close(done)
	}()
	during()
	stop()
	<-done
	return taken, givenUp
}

// TestNewerRevisionEndsATryThatTakesLong has a revision whose try would last for an hour.
func TestNewerRevisionEndsATryThatTakesLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &pushed{revision: "slow"}
		lasting := func(revision string) time.Duration {
			if revision == "slow" {
				return time.Hour
			}
			return time.Second
		}
		taken, givenUp := takes(t, source, lasting, func() {
			time.Sleep(time.Second)
			source.push("good")
			time.Sleep(time.Minute)
		})
		if !slices.Equal(taken, []string{"good"}) || !slices.Equal(givenUp, []string{"slow"}) {
			t.Errorf("taken %v and given up %v", taken, givenUp)
		}
	})
}

// TestQuickTriesAreNotGivenUp has revisions that are pushed while others are taken.
func TestQuickTriesAreNotGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &pushed{revision: "a"}
		taken, givenUp := takes(t, source, func(string) time.Duration { return 10 * time.Second }, func() {
			time.Sleep(time.Second)
			source.push("b")
			time.Sleep(time.Minute)
		})
		if !slices.Equal(taken, []string{"a", "b"}) || givenUp != nil {
			t.Errorf("taken %v and given up %v", taken, givenUp)
		}
	})
}

// TestRevisionsThatComeFasterThanTheyAreTakenGoLive has a revision every five seconds, each of which
// takes two minutes.
func TestRevisionsThatComeFasterThanTheyAreTakenGoLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &pushed{revision: "first"}
		taken, _ := takes(t, source, func(string) time.Duration { return 2 * time.Minute }, func() {
			for i := range 720 {
				time.Sleep(5 * time.Second)
				source.push(time.Duration(i).String())
			}
		})
		if len(taken) < 5 {
			t.Errorf("in an hour %d revisions were taken, want at least 5", len(taken))
		}
	})
}
