// Package retry repeats a call while its failures may pass.
//
//	err := retry.Do(ctx, client.Retryable, report, func() error {
//		return register(ctx)
//	})
package retry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Do calls try until it succeeds, it fails with an error that is not retryable, or ctx
// ends. retryable reports whether an error may pass, and how long to wait at least
// before the next call, as the server asked for. On top of that, Do waits for growing
// and random times, so that clusters that boot together do not all return at once.
//
// Do reports each new failure once. If ctx reaches its deadline, the error wraps the
// last failure.
func Do(ctx context.Context, retryable func(error) (time.Duration, bool), report func(format string, args ...any), try func() error) error {
	backoff := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 1, Steps: 5}
	reported := ""
	for {
		err := try()
		if err == nil {
			return nil
		}
		least, passes := retryable(err)
		if ctx.Err() != nil || !passes {
			return err
		}
		if text := err.Error(); text != reported {
			report("%s; trying again", text)
			reported = text
		}
		timer := time.NewTimer(least + backoff.Step())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("out of time: %w", err)
		}
	}
}
