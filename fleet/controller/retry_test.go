package controller_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// busy is a source whose host wants to be left alone.
type busy struct {
	after time.Duration
	looks atomic.Int32
}

func (*busy) String() string                      { return "busy" }
func (*busy) Watch(context.Context, func()) error { return nil }

func (b *busy) Fetch(context.Context, string) (*fleet.Snapshot, error) {
	b.looks.Add(1)
	return nil, &fleet.RetryError{Err: errors.New("too many requests"), After: b.after}
}

func TestHostThatAsksToBeLeftAloneIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ after, quiet, again time.Duration }{
		{30 * time.Second, 29 * time.Second, 34 * time.Second},
		{1000 * time.Hour, 59 * time.Minute, 67 * time.Minute}, // nobody means that
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &busy{after: c.after}
			f := controller.New(controller.Config{Source: b, Renderer: render.Renderer{}, Interval: time.Second})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- f.Run(ctx) }()

			start := time.Now()
			for time.Since(start) < c.quiet {
				f.Look()
				time.Sleep(c.quiet / 20)
			}
			synctest.Wait()
			if got := b.looks.Load(); got != 1 {
				t.Errorf("a host that said Retry-After: %v was looked at %d times within %v, want once", c.after, got, c.quiet)
			}
			time.Sleep(c.again - time.Since(start))
			synctest.Wait()
			if got := b.looks.Load(); got < 2 {
				t.Errorf("a host that said Retry-After: %v was looked at %d times within %v, want it asked again", c.after, got, c.again)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run() = %v, want nil", err)
			}
		})
	}
}
