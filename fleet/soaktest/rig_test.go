package soaktest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest"
	"github.com/tributary-gitops/tributary/fleet/storetest/invariants"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// soak is a fleet that runs, and the model of it.
type soak struct {
	*author
	t          *testing.T
	seed       uint64
	clock      *clock
	source     *script
	url        string
	log        *sqlstore.Store // reads the change log, whatever happens to the stores of servers
	server     *server
	reader     *server // read-only
	crowd      *crowd  // polls the server, and onlookers the reader
	onlookers  *crowd
	background sync.WaitGroup

	tip    *commit   // the last one, on top of which is the next
	made   []*commit // all of them
	at     *commit   // where the source is
	model  model
	past   map[int64]map[string]*cluster // what was served at the last few generations
	last   *fleet.Change                 // in the log
	polled map[string]poll
	shown  map[string]map[removal]bool // what impacts remove that somebody was shown, by digest
	lostAt map[removal]int64           // the last generation that removed it
	held   map[client]holding          // what those who poll got last
	steps  []string
	tally  map[string]int // of what happened, to see whether enough does
}

// server is a controller with a store of its own.
type server struct {
	*controller.Controller
	store *flaky
	stop  func()
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	s := &soak{
		author: &author{Rand: rand.New(rand.NewPCG(seed, 0)), gone: map[string]file{}, declared: map[string]map[string]string{}, freed: map[string]bool{}},
		t:      t, seed: seed, clock: newClock(), source: &script{}, url: "sqlite:" + filepath.Join(t.TempDir(), "soak.db"),
		crowd: &crowd{heard: map[question]string{}}, onlookers: &crowd{heard: map[question]string{}},
		model: newModel(), past: map[int64]map[string]*cluster{}, polled: map[string]poll{}, shown: map[string]map[removal]bool{}, lostAt: map[removal]int64{}, held: map[client]holding{}, tally: map[string]int{},
	}
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

// commit moves the source to a new commit.
func (s *soak) commit(c *commit) {
	s.made, s.tip = append(s.made, c), c
	s.model.commits[c.revision] = c
	s.push(c)
}

func (s *soak) push(c *commit) {
	s.at = c
	s.source.put(c)
}

// start runs a server. It looks at its source all the time, which costs nothing here.
func (s *soak) start(readOnly bool) *server {
	store := s.open()
	r := &server{store: &flaky{Store: store}}
	cfg := controller.Config{
		Renderer: render.Renderer{}, Store: r.store, Archive: archive.Archive{}, Interval: 5 * time.Millisecond, Now: s.clock.Now, ReadOnly: readOnly,
	}
	pollers := s.onlookers
	if !readOnly {
		cfg.Source, pollers = s.source, s.crowd
	}
	r.Controller = controller.New(cfg)
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
	pollers.served.Store(r.Controller)
	return r
}

// restart stops the server, and starts another one on the same database. The store may have kept the
// server's last change without the server knowing, as when a server is killed.
func (s *soak) restart() {
	s.server.stop()
	s.source.forget()
	s.server = s.start(false)
}

func (s *soak) done() {
	s.server.stop()
	s.reader.stop()
	storetest.FoldEqualsState(s.t, s.log)
	invariants.Hold(s.t, s.log, render.Renderer{}, archive.Archive{})
	if err := s.log.Close(); err != nil {
		s.t.Error(err)
	}
	var counts []string
	for what, n := range s.tally {
		counts = append(counts, fmt.Sprintf("%s: %d", what, n))
	}
	slices.Sort(counts)
	s.t.Logf("at generation %d: %s", s.model.generation, strings.Join(counts, ", "))
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

// fail ends the run, and says how to repeat it.
func (s *soak) fail(format string, args ...any) {
	s.t.Helper()
	var entries []string
	changes, err := s.log.Changes(context.Background(), fleet.ChangeQuery{Limit: 10})
	for _, c := range slices.Backward(changes) {
		entries = append(entries, fmt.Sprintf("%d %s %s: %s, %d clusters, %d rows %s", c.Generation, c.Kind, c.Actor, c.Reason, len(c.Clusters), len(c.Assignments), encode(c.Release)))
	}
	s.t.Fatalf("seed %d, step %d: %s\nthe last steps:\n  %s\nthe last changes: %v\n  %s", s.seed, len(s.steps), fmt.Sprintf(format, args...),
		strings.Join(s.steps[max(0, len(s.steps)-20):], "\n  "), err, strings.Join(entries, "\n  "))
}

func (s *soak) did(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	verb, _, _ := strings.Cut(strings.ReplaceAll(what, ":", " "), " ")
	s.tally[verb]++
	s.steps[len(s.steps)-1] += what + "; "
}

// settle waits until the server has seen what the source is at and serves what the log says, and lets
// the rollout go on for as long as its next wave is due.
func (s *soak) settle() {
	s.t.Helper()
	s.await("a look at the source", s.source.seen)
	for s.followLog(); s.model.rollout != nil; s.tally["wave"]++ {
		why, at := s.model.waitsFor(s.clock.Now(), s.polled), s.model.generation
		if err := s.server.Advance(s.t.Context()); err != nil {
			s.fail("Advance() = %v", err)
		}
		s.followLog()
		if moved := s.model.generation != at; moved != (why == "") {
			s.fail("the rollout moved: %v, and it waits for %q", moved, why)
		} else if !moved {
			return
		}
	}
}

// followLog folds what is new in the change log, and waits until that is served.
func (s *soak) followLog() {
	s.t.Helper()
	for served := int64(-1); served != s.model.generation; {
		later, err := s.log.Since(s.t.Context(), s.model.generation)
		if err != nil {
			s.fail("change log: %v", err)
		}
		for i := range later.Changes {
			s.fold(&later.Changes[i])
		}
		s.await(fmt.Sprintf("generation %d", s.model.generation), func() bool {
			v, err := s.server.View()
			if err == nil {
				served = v.Generation()
			} else if s.model.live.IsZero() {
				served = s.model.generation
			}
			return served >= s.model.generation
		})
	}
}

// awaitServed waits until the server has taken up what the log says.
func (s *soak) awaitServed(server *server) {
	s.t.Helper()
	s.await("the change log", func() bool {
		last, err := s.log.Generation(s.t.Context())
		if err != nil {
			s.fail("change log: %v", err)
		}
		v, err := server.View()
		return err == nil && v.Generation() == last
	})
	s.followLog()
}
