package main

import (
	"context"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/archive"
)

// following is a live fleet in this process, configured as serve does.
type following struct {
	*controller.Controller
	b      testing.TB
	source *timed
	url    string // of its store
	stop   func()
}

// followed starts an empty fleet with a new SQLite store, which exists until the benchmark
// ends. The garbage collector is configured as in serve.
func followed(b testing.TB, o *origin) *following {
	b.Helper()
	debug.SetGCPercent(heapGrowth)
	ctx := context.Background()
	opened, err := sources.Open(o.url(), sources.Options{})
	if err != nil {
		b.Fatal(err)
	}
	f := &following{b: b, source: &timed{Source: opened}, url: "sqlite:" + filepath.Join(b.TempDir(), "tributary.db")}
	store, err := sqlstore.Open(ctx, f.url)
	if err != nil {
		b.Fatal(err)
	}
	f.Controller = controller.New(controller.Config{
		Source: f.source, Renderer: render.NewRenderer(), Store: store, Archive: archive.New(), Interval: time.Hour,
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		_, _ = store.Close(), opened.Close()
	}
	return f
}

// await returns when a revision is live. Its polling costs next to nothing.
func (f *following) await(revision string) {
	f.b.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
		if v, err := f.View(); err == nil && v.Release().Revision == revision {
			return
		}
		if failed := f.Status().Failed; failed != nil {
			f.b.Fatalf("%s failed: %v", failed.Revision, failed.Problems)
		}
	}
	f.b.Fatalf("%s is never live", revision)
}

// eachAnswer calls a function with the answer to every poll of every cluster, from one
// goroutine for each processor. The answer is only valid during the call.
func (f *following) eachAnswer(do func(set string, answer []byte)) {
	f.b.Helper()
	v, err := f.View()
	if err != nil {
		f.b.Fatal(err)
	}
	var group errgroup.Group
	members, sets := v.Members(), v.Sets()
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() error {
			var answer []byte
			for i := w; i < len(members); i += workers {
				for _, set := range sets {
					body, err := members[i].Body(set)
					if err != nil {
						return err
					}
					answer = body.AppendTo(answer[:0])
					do(set, answer)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		f.b.Fatal(err)
	}
}

// timed is a source that records when it was last fetched.
type timed struct {
	fleet.Source
	at atomic.Int64 // in nanoseconds of the epoch
}

// Fetch records the time.
func (s *timed) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	s.at.Store(time.Now().UnixNano())
	return s.Source.Fetch(ctx, known)
}

func (s *timed) looked() time.Time { return time.Unix(0, s.at.Load()) }
