package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// persist tries something until it succeeds, fails in a way that passing does not
// know to pass, or ctx ends. Whoever answered is left alone for as long as it wants;
// beyond that the times between tries grow, and differ, so that clusters which boot
// together do not come back together.
func persist(ctx context.Context, passing func(error) (time.Duration, bool), tell func(string, ...any), try func() error) error {
	pause := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 1, Steps: 5}
	told := ""
	for {
		err := try()
		if err == nil {
			return nil
		}
		least, passes := passing(err)
		if ctx.Err() != nil || !passes {
			return err
		}
		if text := err.Error(); text != told {
			tell("%s; trying again", text)
			told = text
		}
		timer := time.NewTimer(least + pause.Step())
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
