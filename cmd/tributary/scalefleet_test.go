package main

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/render"
	"github.com/tributary-gitops/tributary/sources"
)

// following is a live fleet in this process, wired as serve wires it.
type following struct {
	*fleet.Fleet
	b      testing.TB
	source *timed
	url    string // of its store
	stop   func()
}

// followed starts a fleet that knows nothing yet, with a new SQLite store, which is
// there until the benchmark ends.
func followed(b testing.TB, o *origin) *following {
	b.Helper()
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
	f.Fleet = fleet.New(fleet.Config{
		Source: f.source, Renderer: render.NewRenderer(), Store: store, Archive: sources.Archive{}, Interval: time.Hour,
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

// await returns when a revision is live. Looking for it costs next to nothing.
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

// eachAnswer asks for the answer to every poll of every cluster.
func (f *following) eachAnswer(do func(set string, answer []byte)) {
	f.b.Helper()
	v, err := f.View()
	if err != nil {
		f.b.Fatal(err)
	}
	for _, m := range v.Members() {
		for _, set := range v.Sets() {
			body, err := m.Inputs(set)
			if err != nil {
				f.b.Fatal(err)
			}
			do(set, body.JSON())
		}
	}
}

// timed is a source that knows when it was looked at last.
type timed struct {
	fleet.Source
	at atomic.Int64 // in nanoseconds of the epoch
}

// Fetch notes the time.
func (s *timed) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	s.at.Store(time.Now().UnixNano())
	return s.Source.Fetch(ctx, known)
}

func (s *timed) looked() time.Time { return time.Unix(0, s.at.Load()) }
