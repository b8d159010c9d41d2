// Package soaktest drives a fleet of 200 clusters through random steps, and checks after each of them
// that what is served is what a model says. Everything is real but the source and the clock. The model
// is in model_test.go: it folds the change log, says where each cluster should be, and renders each
// cluster, all apart from the code under test. The promises are in checks_test.go. The rest makes
// things happen: commits (commit_test.go, author_test.go), steps, writes and faults.
package soaktest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The run of `make test` takes few steps, always the same, so that a failure shows what a change has
// broken. TRIBUTARY_SOAK_STEPS asks for more of them, TRIBUTARY_SOAK_SEED for others, and
// TRIBUTARY_SOAK_TIME for one seed after another until that much time is over.
const shortRun, shortSeed = 25, 1

func TestNothingBreaksTheFleet(t *testing.T) {
	t.Parallel()
	steps, seed := number(t, "TRIBUTARY_SOAK_STEPS", shortRun), number(t, "TRIBUTARY_SOAK_SEED", shortSeed)
	var until time.Duration
	if text := os.Getenv("TRIBUTARY_SOAK_TIME"); text != "" {
		var err error
		if until, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	for start := time.Now(); ; seed++ {
		passed := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { drive(t, uint64(seed), int(steps)) })
		if !passed || time.Since(start) >= until {
			return
		}
	}
}

func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// drive takes some steps, and returns them. They depend on the seed alone: neither on time nor on
// which goroutine comes first.
func drive(t *testing.T, seed uint64, steps int) []string {
	t.Logf("TRIBUTARY_SOAK_SEED=%d TRIBUTARY_SOAK_STEPS=%d", seed, steps)
	s := newSoak(t, seed)
	ctx, cancel := context.WithCancel(t.Context())
	defer s.background.Wait()
	defer cancel()
	for i := range 3 {
		s.background.Go(func() { s.crowd.run(ctx, seed+uint64(i)) })
	}
	s.background.Go(func() { s.onlookers.run(ctx, seed) })
	for range steps {
		s.step()
	}
	s.done()
	return s.steps
}

func TestSameSeedTakesTheSameSteps(t *testing.T) {
	t.Parallel()
	const seed, steps = 29, 8
	if a, b := drive(t, seed, steps), drive(t, seed, steps); !slices.Equal(a, b) {
		t.Errorf("steps of seed %d:\n%s\nand once more:\n%s", seed, strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}
