package controller_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// failingStore is a store whose Append can be made to fail.
type failingStore struct {
	fleet.Store

	mu     sync.Mutex
	fail   error
	stored bool // whether a failing Append stores the change
}

func (u *failingStore) set(fail error, stored bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fail, u.stored = fail, stored
}

func (u *failingStore) Append(ctx context.Context, c *fleet.Change) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fail == nil {
		return u.Store.Append(ctx, c)
	}
	if u.stored {
		if err := u.Store.Append(ctx, c); err != nil {
			return err
		}
	}
	return u.fail
}

var errLost = fmt.Errorf("change: %w: connection reset by peer", fleet.ErrStore)

func startWithFailingStore(t *testing.T) (*rig, *failingStore) {
	t.Helper()
	u := &failingStore{Store: openStore(t, sqliteFile(t))}
	s := newSource()
	s.put("main@1", acme())
	r := start(t, s, u)
	r.awaitRevision("main@1")
	return r, u
}

func TestWriteThatIsNotStoredChangesNothing(t *testing.T) {
	t.Parallel()
	for _, fail := range []error{errLost, fmt.Errorf("change: %w: disk full", fleet.ErrStoreFull)} {
		r, u := startWithFailingStore(t)
		r.patch("ann", "App/web", `{"spec": {"tag": "v2"}}`)
		u.set(fail, false)
		for range 2 {
			r.wantRefused(fail, func() (*fleet.Result, error) {
				return r.PatchObject(t.Context(), ada, "ann", objectNamed("App/web"), fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(`{"spec": {"tag": "v3"}}`)})
			})
		}
		if got := r.metric("tributary_store_errors_total"); got != 2 {
			t.Errorf("tributary_store_errors_total = %v, want 2", got)
		}
		u.set(nil, false)
		if got := r.patch("ann", "App/web", `{"spec": {"replicas": 3}}`).Generation; got != 3 {
			t.Errorf("generation = %d, want 3", got)
		}
		r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":3,"tag":"v2"}`)
	}
}

func TestWriteStoredDespiteAnErrorIsNotLost(t *testing.T) {
	t.Parallel()
	r, u := startWithFailingStore(t)
	u.set(errLost, true)
	if _, err := r.PutDelta(t.Context(), ada, r.document(`{name: dev, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: web, patch: {spec: {tag: v2}}}]}`)); !errors.Is(err, fleet.ErrStore) {
		t.Fatalf("PutDelta = %v, want %v", err, fleet.ErrStore)
	}
	u.set(nil, false)
	result := r.patch("ann", "App/web", `{"spec": {"replicas": 3}}`)
	if result.Generation != 3 || r.view().Generation() != 3 {
		t.Errorf("generation = %d, served %d, want 3", result.Generation, r.view().Generation())
	}
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":3,"tag":"v2"}`)
	r.wantInput("bob", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"v2"}`)
	if got, want := deltasOf(t, r.view().Deltas()), deltasOf(t, folded(t, r.history())); got != want {
		t.Errorf("deltas =\n%s\nwant the fold of the history:\n%s", got, want)
	}
}

func TestReleaseStoredDespiteAnErrorGoesLiveOnce(t *testing.T) {
	t.Parallel()
	r, u := startWithFailingStore(t)
	u.set(errLost, true)
	r.source.put("main@2", acme("base/web.yaml", app("web", "{tag: v2}")))
	r.Look()
	r.await("the failure", func() bool { return r.metric("tributary_store_errors_total") > 0 })
	u.set(nil, false)
	r.awaitRevision("main@2")
	r.wantInput("ann", "web", `{"tag":"v2"}`)
	r.patch("ann", "App/web", `{"spec": {"replicas": 3}}`)
	var kinds []string
	for _, c := range r.history() {
		kinds = append(kinds, string(c.Kind))
	}
	if got, want := strings.Join(kinds, " "), "release release write"; got != want {
		t.Errorf("history = %s, want %s", got, want)
	}
}

// silentStore is an empty store whose Append never returns.
type silentStore struct {
	fleet.Store
	generation atomic.Int64
}

func (*silentStore) Load(context.Context) (*fleet.LogState, error) {
	return &fleet.LogState{}, nil
}
func (*silentStore) SaveSnapshot(context.Context, *fleet.Packed) error { return nil }
func (*silentStore) Prune(context.Context, time.Time) (int64, error)   { return 0, nil }
func (h *silentStore) Generation(context.Context) (int64, error)       { return h.generation.Load(), nil }
func (*silentStore) Since(context.Context, int64) (*fleet.LogChanges, error) {
	return &fleet.LogChanges{}, nil
}
func (*silentStore) Releases(context.Context, fleet.ReleaseQuery) ([]fleet.Release, error) {
	return nil, nil
}
func (*silentStore) Release(_ context.Context, id string) (*fleet.Release, error) {
	return nil, fmt.Errorf("release %q: %w", id, fleet.ErrNotFound)
}
func (*silentStore) Polls(context.Context, fleet.PollQuery) ([]fleet.Poll, error) { return nil, nil }
func (*silentStore) TokensSince(context.Context, int64) ([]*fleet.Token, int64, error) {
	return nil, 0, nil
}
func (*silentStore) Tries() fleet.TryStore                                 { return nil }
func (*silentStore) Listen(context.Context, func(fleet.Notice)) error      { return nil }
func (*silentStore) Announce(context.Context, string, *fleet.Packed) error { return nil }
func (*silentStore) ReleaseLease(context.Context, string) error            { return nil }
func (*silentStore) Lead(context.Context, string, time.Duration) (bool, int64, error) {
	return true, 0, nil
}
func (h *silentStore) Append(ctx context.Context, c *fleet.Change) error {
	if c.Release != nil {
		h.generation.Store(c.Generation)
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// emptyArchive packs nothing. Encoders of the archive of package sources are shared between tests,
// and one that is created in a synctest bubble cannot be used outside of it.
type emptyArchive struct{ fleet.Archive }

func (emptyArchive) Pack(context.Context, fs.FS) (*fleet.Packed, error) {
	return &fleet.Packed{Digest: "sha256:0"}, nil
}

func TestHungStoreIsReportedAsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		s.put("main@1", acme())
		r := start(t, s, &silentStore{}, func(c *controller.Config) { c.Archive = emptyArchive{} })
		synctest.Wait()
		_, err := r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/db"))
		if !errors.Is(err, fleet.ErrStore) {
			t.Errorf("DeleteObject = %v, want %v", err, fleet.ErrStore)
		}
		r.stop()
	})
}

// leaselessStore is a store that refuses the lease, like a database user without write permission.
type leaselessStore struct{ silentStore }

func (*leaselessStore) Lead(context.Context, string, time.Duration) (bool, int64, error) {
	return false, 0, fmt.Errorf("lease: %w: permission denied", fleet.ErrStore)
}

func TestLeaseErrorIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := controller.New(controller.Config{Store: &leaselessStore{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "permission denied"); n != 1 {
			t.Errorf("%d log lines, want 1:\n%s", n, log.String())
		}
	})
}

func TestConcurrentReleasesAndWritesAreAllServed(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	const writers, releases = 40, 5
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			cluster := []string{"ann", "bob", "cid"}[n%3]
			r.patch(cluster, "App/web", fmt.Sprintf(`{"spec": {"env": {"k%d": "x"}}}`, n))
		})
		if n%(writers/releases) == 0 {
			tag := fmt.Sprintf("r%d", n)
			tree := acme("base/web.yaml", app("web", "{tag: "+tag+", env: {}}"))
			r.release("main@"+tag, tree)
		}
	}
	all.Wait()
	v := r.view()
	if got, want := deltasOf(t, v.Deltas()), deltasOf(t, folded(t, r.history())); got != want {
		t.Errorf("deltas =\n%s\nwant the fold of the history:\n%s", got, want)
	}
	if got := int64(len(r.history())); got != v.Generation() || got != writers+releases+1 {
		t.Errorf("the history has %d entries at generation %d, want %d", got, v.Generation(), writers+releases+1)
	}
	wantFreshRender(t, v, r.source.next)
	for n := range writers {
		if got := r.input([]string{"ann", "bob", "cid"}[n%3], "web"); !strings.Contains(got, fmt.Sprintf(`"k%d":"x"`, n)) || !strings.Contains(got, `"tag":"r32"`) {
			t.Errorf("input = %s, want the write of writer %d on the last release", got, n)
		}
	}
}

// hungStore is a store that never answers reads of polls and token uses.
type hungStore struct{ fleet.Store }

func (hungStore) Polls(ctx context.Context, _ fleet.PollQuery) ([]fleet.Poll, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (hungStore) Uses(ctx context.Context) (map[string]time.Time, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// If the store hangs, polls of this server are returned without those of other servers.
func TestHungStoreDelaysNeitherPollsNorTokenUses(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.put("main@1", acme())
	r := start(t, s, hungStore{openStore(t, sqliteFile(t))})
	r.awaitRevision("main@1")
	r.recordPoll("ann", "apps", 1, "")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if polls := r.Polls(ctx, "ann"); len(polls["ann"]) != 1 {
		t.Errorf("polls = %v, want the poll of this server", polls)
	}
	r.TokenUses(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error("a hung store delayed the answer")
	}
}
