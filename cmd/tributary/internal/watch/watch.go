// Package watch looks at a server again whenever something has changed there.
//
//	w := watch.Watch{Client: client, Report: report}
//	err := w.Do(ctx, func(ctx context.Context) (done bool, err error) {
//		release, err := client.Release(ctx, id)
//		return err == nil && release.State == fleet.Live, err
//	})
//
// Polls and faults of a source are no changes, so that it looks from time to time as well.
package watch

import (
	"context"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

// Watch is one watch.
type Watch struct {
	Client *client.Client
	// Report is called with each new reason why the server cannot be asked.
	Report func(format string, args ...any)
	// Patient makes Do wait for a server that does not answer at first.
	Patient bool
}

const (
	// interval is the time between two looks if nothing is heard of a change.
	interval = 2 * time.Second
	// share bounds the load: looks take at most one part of so many of the time.
	share = 10
	// again is the time until events are asked for again.
	again = 5 * time.Second
)

// Do calls look until it is done, fails for good, or ctx ends. Later failures that may pass are
// reported, and look is called again.
func (w Watch) Do(ctx context.Context, look func(context.Context) (done bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	go w.follow(ctx, changed)
	reported, patient := "", w.Patient
	for {
		start := time.Now()
		done, err := look(ctx)
		_, retryable := client.Retryable(err)
		switch {
		case done && err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !(retryable && patient):
			return err
		case err != nil && err.Error() != reported:
			reported = err.Error()
			w.Report("%s; trying again", reported)
		}
		patient = true
		timer := time.NewTimer(max(interval, share*time.Since(start)))
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// follow makes changed ready after each change. Without events, Do looks from time to time.
func (w Watch) follow(ctx context.Context, changed chan<- struct{}) {
	last := int64(0)
	for ctx.Err() == nil {
		_ = w.Client.Events(ctx, last, func(c api.Change) error {
			last = c.Generation
			select {
			case changed <- struct{}{}:
			default:
			}
			return nil
		})
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}
