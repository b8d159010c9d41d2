package soaktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources"
)

// soak is a fleet that runs, and the model of it.
type soak struct {
	*author
	t          *testing.T
	seed       uint64
	clock      *clock
	source     *script
	url        string
	log        *sqlstore.Store // reads the change log, whatever happens to those of servers
	server     *server
	reader     *server // read-only
	crowd      *crowd  // polls the server, and onlookers the reader
	onlookers  *crowd
	background sync.WaitGroup

	tip     *commit   // the last one, on top of which is the next
	made    []*commit // all of them
	at      *commit   // where the source is
	state   state
	polled  map[string]poll
	applied int                           // how many changes the model has taken up
	past    map[int64]map[string]*cluster // as they were served at the last few generations
	steps   []string
	tally   map[string]int // of what happened, for those who want to know whether enough does
}

// server is a fleet on a store of its own.
type server struct {
	*fleet.Fleet
	store *flaky
	stop  func()
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	s := &soak{
		author: &author{Rand: rand.New(rand.NewPCG(seed, 0)), gone: map[string]file{}},
		t:      t, seed: seed, clock: newClock(), source: &script{}, url: "sqlite:" + filepath.Join(t.TempDir(), "soak.db"),
		polled: map[string]poll{}, past: map[int64]map[string]*cluster{}, tally: map[string]int{},
	}
	s.crowd, s.onlookers = &crowd{clock: s.clock, heard: map[question]string{}}, &crowd{clock: s.clock, heard: map[question]string{}}
	s.state = newState()
	s.log = s.open()
	s.commit(s.first())
	s.server, s.reader = s.start(false), s.start(true)
	s.settle()
	s.check()
	return s
}

func (s *soak) open() *sqlstore.Store {
	s.t.Helper()
	store, err := sqlstore.Open(context.Background(), s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return store
}

// commit moves the source to a commit that nobody has seen.
func (s *soak) commit(c *commit) {
	s.made, s.tip = append(s.made, c), c
	s.state.history.commits[c.revision] = c
	s.push(c)
}

func (s *soak) push(c *commit) {
	s.at = c
	s.source.put(c)
}

// start runs a fleet. It looks at its source all the time: that costs nothing here.
func (s *soak) start(readOnly bool) *server {
	store := s.open()
	r := &server{store: &flaky{Store: store}}
	cfg := fleet.Config{
		Renderer: render.Renderer{}, Store: r.store, Archive: sources.Archive{}, Interval: 5 * time.Millisecond, Now: s.clock.Now, ReadOnly: readOnly,
	}
	who := s.onlookers
	if !readOnly {
		cfg.Source, who = s.source, s.crowd
	}
	r.Fleet = fleet.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("Run() = %v, want nil after its context ended", err)
		}
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(r.stop)
	who.served.Store(r.Fleet)
	return r
}

// restart stops the server, and starts another one on the same file. What the one was
// told last it may have kept without knowing it, as one that is killed.
func (s *soak) restart() {
	s.server.stop()
	s.source.forget()
	s.server = s.start(false)
}

func (s *soak) done() {
	s.server.stop()
	s.reader.stop()
	if err := s.log.Close(); err != nil {
		s.t.Error(err)
	}
	var told []string
	for what, n := range s.tally {
		told = append(told, fmt.Sprintf("%s: %d", what, n))
	}
	slices.Sort(told)
	s.t.Logf("at generation %d: %s", s.applied, strings.Join(told, ", "))
}

// await waits for what must happen, however long it takes.
func (s *soak) await(what string, happened func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.fail("%s never happened: %+v", what, s.server.Status())
		}
	}
}

// fail ends the run, and says how to have it again.
func (s *soak) fail(format string, args ...any) {
	s.t.Helper()
	last := s.steps[max(0, len(s.steps)-20):]
	s.t.Fatalf("seed %d, step %d: %s\nthe last steps:\n  %s\nthe last changes:\n  %s", s.seed, len(s.steps), fmt.Sprintf(format, args...),
		strings.Join(last, "\n  "), strings.Join(s.lastChanges(), "\n  "))
}

// lastChanges are the last entries of the change log, as far as it can be read.
func (s *soak) lastChanges() (told []string) {
	changes, err := s.log.Changes(context.Background(), fleet.ChangeQuery{Limit: 10})
	if err != nil {
		return []string{err.Error()}
	}
	for _, c := range slices.Backward(changes) {
		line := fmt.Sprintf("%d %s %s: %s, %d clusters, %d records", c.Generation, c.Kind, c.Actor, c.Reason, len(c.Clusters), len(c.Records))
		if c.Release != nil {
			line += ", " + short(c.Release.Revision)
		}
		told = append(told, line)
	}
	return told
}

func (s *soak) did(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	verb, _, _ := strings.Cut(strings.ReplaceAll(what, ":", " "), " ")
	s.tally[verb]++
	s.steps[len(s.steps)-1] += what + "; "
}

// settle waits until the server has seen what the source is at and serves all that the
// log has, and has the model follow. What becomes due by that is done.
func (s *soak) settle() {
	s.t.Helper()
	s.await("a look at the source", s.source.seen)
	for {
		s.followLog()
		if s.state.rollout == nil {
			return
		}
		due, before, at := s.state.wait(s.clock.Now(), s.polled), s.state, s.applied
		if err := s.server.Advance(s.t.Context()); err != nil {
			s.fail("Advance() = %v", err)
		}
		s.followLog()
		if moved := s.applied != at; moved != (due == "") {
			s.fail("the rollout moved: %v, and waits for %q by the model: %s", moved, due, s.told(before.rolling()))
		} else if !moved {
			return
		}
		s.tally["wave"]++
	}
}

// followLog has the model take up what is new in the change log, and waits until that is
// served.
func (s *soak) followLog() {
	s.t.Helper()
	for {
		changes, err := s.log.Changes(s.t.Context(), fleet.ChangeQuery{After: int64(s.applied), Limit: 1 << 20})
		if err != nil {
			s.fail("change log: %v", err)
		}
		slices.SortFunc(changes, func(a, b fleet.Change) int { return cmp.Compare(a.Generation, b.Generation) })
		for i := range changes {
			s.apply(&changes[i])
		}
		v, err := s.server.View()
		switch {
		case err != nil && s.state.live == "" && errors.Is(err, fleet.ErrNotReady):
			return
		case err == nil && v.Generation() == int64(s.applied):
			return
		case err == nil && v.Generation() < int64(s.applied):
			s.await(fmt.Sprintf("generation %d", s.applied), func() bool {
				v, err := s.server.View()
				return err == nil && v.Generation() >= int64(s.applied)
			})
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

// awaitServed waits until the server has taken up what the log says.
func (s *soak) awaitServed() {
	s.t.Helper()
	s.await("the change log", func() bool {
		last, err := s.log.Generation(s.t.Context())
		if err != nil {
			s.fail("change log: %v", err)
		}
		v, err := s.server.View()
		return err == nil && v.Generation() == last
	})
	s.followLog()
}

// told is what the server says of a release, for people.
func (s *soak) told(revision string) string {
	r, err := s.server.Release(s.t.Context(), revision)
	if err != nil {
		return err.Error()
	}
	return encode(map[string]any{"state": r.State, "rollout": r.Rollout, "violations": r.Violations, "failing": r.Failing, "faults": r.Problems.Faults()})
}
