package sqlstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest"
)

// appendForever prints the generation of each change that was acknowledged, and its process.
func appendForever(url string) error {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, url)
	if err != nil {
		return err
	}
	for {
		state, err := s.Load(ctx)
		if err != nil {
			return err
		}
		c := changeAfter(state)
		switch err := s.Append(ctx, c); {
		case err == nil:
			fmt.Println(c.Generation, os.Getpid())
		case !errors.Is(err, fleet.ErrConflict):
			return err
		}
	}
}

// changeAfter returns a change that puts its generation into two deltas, so that half a change shows.
func changeAfter(state *fleet.LogState) *fleet.Change {
	c := &fleet.Change{
		Generation: state.Generation + 1, Kind: fleet.Written, Actor: strconv.Itoa(os.Getpid()), Clusters: []string{"a", "b"},
	}
	for n, name := range []string{"a", "b"} {
		d := fleet.DeltaChange{Delta: fleet.OwnID(name), After: &fleet.Delta{Cluster: name, Reason: fmt.Sprint(c.Generation)}}
		if len(state.Deltas) > 0 {
			d.Before = state.Deltas[n]
		}
		c.Deltas = append(c.Deltas, d)
	}
	return c
}

// appender is a process that appends forever.
type appender struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	rest  strings.Builder // of stderr
}

func startAppender(t *testing.T, url string) *appender {
	t.Helper()
	a := &appender{cmd: exec.Command(os.Args[0])}
	a.cmd.Env = append(os.Environ(), "TRIBUTARY_TEST_APPEND_TO="+url)
	a.cmd.Stderr = &a.rest
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.lines = bufio.NewScanner(out)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.cmd.Process.Kill() })
	return a
}

// killAfter kills the process after so many changes, in the middle of whatever it does, and returns
// the lines of all changes that were acknowledged.
func (a *appender) killAfter(changes int) (acknowledged []string, err error) {
	for n := 0; a.lines.Scan(); n++ {
		if n == changes {
			err = a.cmd.Process.Kill()
		}
		acknowledged = append(acknowledged, a.lines.Text())
	}
	ended := a.cmd.Wait()
	if len(acknowledged) < changes || err != nil {
		return nil, fmt.Errorf("the process ended by itself after %d changes: %w: %s", len(acknowledged), ended, &a.rest)
	}
	return acknowledged, nil
}

func TestAcknowledgedChangesSurviveKill(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var all []string
		for round := range 5 {
			acknowledged, err := startAppender(t, url).killAfter(10 + round)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, acknowledged...)
			wantWholeLog(t, url, all)
		}
	})
}

func TestProcessesThatStartAtOnceShareALog(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		var all []string
		var running sync.WaitGroup
		for range 4 {
			a := startAppender(t, url)
			running.Go(func() {
				acknowledged, err := a.killAfter(5)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, acknowledged...)
			})
		}
		running.Wait()
		wantWholeLog(t, url, all)
	})
}

// wantWholeLog checks that a log has no gaps, that each entry is whole, and that the changes that
// were acknowledged are in it.
func wantWholeLog(t *testing.T, url string, acknowledged []string) {
	t.Helper()
	s := open(t, url)
	defer s.Close()
	state, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes, err := s.Changes(t.Context(), fleet.ChangeQuery{Limit: int(state.Generation) + 1})
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(changes)) != state.Generation {
		t.Errorf("the log has %d entries and is at %d", len(changes), state.Generation)
	}
	actors := map[string]bool{}
	for i, c := range changes {
		want := state.Generation - int64(i)
		if c.Generation != want || len(c.Deltas) != 2 || len(c.Clusters) != 2 {
			t.Errorf("entry %d has %d deltas and %d clusters, want entry %d with 2", c.Generation, len(c.Deltas), len(c.Clusters), want)
		}
		actors[fmt.Sprint(c.Generation, " ", c.Actor)] = true
	}
	for _, line := range acknowledged {
		if !actors[line] {
			t.Errorf("change %q was acknowledged and is not in the log", line)
		}
	}
	storetest.FoldEqualsState(t, s)
	for _, d := range state.Deltas {
		if want := fmt.Sprint(state.Generation); d.Reason != want {
			t.Errorf("delta %s is of change %s, want %s", d.ID(), d.Reason, want)
		}
	}
}
