package controller_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

// unreliable is a store whose Append fails when it is told to.
type unreliable struct {
	fleet.Store

	mu   sync.Mutex
	fail error
	kept bool // though it fails
}

func (u *unreliable) set(fail error, kept bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fail, u.kept = fail, kept
}

func (u *unreliable) Append(ctx context.Context, c *fleet.Change) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fail == nil {
		return u.Store.Append(ctx, c)
	}
	if u.kept {
		if err := u.Store.Append(ctx, c); err != nil {
			return err
		}
	}
	return u.fail
}

var errLost = fmt.Errorf("change: %w: connection reset by peer", fleet.ErrStore)

func startUnreliable(t *testing.T) (*rig, *unreliable) {
	t.Helper()
	u := &unreliable{Store: openStore(t, sqliteFile(t))}
	s := newScript()
	s.put("main@1", acme())
	r := start(t, s, u)
	r.awaitRevision("main@1")
	return r, u
}

func TestWriteThatIsNotKeptChangesNothingServed(t *testing.T) {
	t.Parallel()
	for _, fail := range []error{errLost, fmt.Errorf("change: %w: disk full", fleet.ErrStoreFull)} {
		r, u := startUnreliable(t)
		r.patch("ann", "App/web", `{"spec": {"tag": "v2"}}`)
		u.set(fail, false)
		for range 2 {
			r.refused(fail, func() (*fleet.Result, error) {
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

func TestWriteThatWasKeptAfterAllIsNotLost(t *testing.T) {
	t.Parallel()
	r, u := startUnreliable(t)
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

func TestReleaseThatWasKeptAfterAllIsLiveOnce(t *testing.T) {
	t.Parallel()
	r, u := startUnreliable(t)
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
		t.Errorf("the history has %s, want %s", got, want)
	}
}

// hanging is a store that never answers a change, and had none.
type hanging struct {
	fleet.Store
	generation atomic.Int64
}

func (*hanging) Load(context.Context) (*fleet.LogState, error) {
	return &fleet.LogState{}, nil
}
func (*hanging) SaveSnapshot(context.Context, *fleet.Packed) error { return nil }
func (*hanging) Prune(context.Context, time.Time) (int64, error)   { return 0, nil }
func (h *hanging) Generation(context.Context) (int64, error)       { return h.generation.Load(), nil }
func (*hanging) Since(context.Context, int64) (*fleet.LogChanges, error) {
	return &fleet.LogChanges{}, nil
}
func (*hanging) Releases(context.Context, fleet.ReleaseQuery) ([]fleet.Release, error) {
	return nil, nil
}
func (*hanging) Release(_ context.Context, id string) (*fleet.Release, error) {
	return nil, fmt.Errorf("release %q: %w", id, fleet.ErrNotFound)
}
func (*hanging) Polls(context.Context, []string) ([]fleet.Poll, error) { return nil, nil }
func (*hanging) TokensSince(context.Context, int64) ([]*fleet.Token, int64, error) {
	return nil, 0, nil
}
func (*hanging) Listen(context.Context, func(fleet.Notice)) error      { return nil }
func (*hanging) Announce(context.Context, string, *fleet.Packed) error { return nil }
func (*hanging) ReleaseLease(context.Context, string) error            { return nil }
func (*hanging) Lead(context.Context, string, time.Duration) (bool, int64, error) {
	return true, 0, nil
}
func (h *hanging) Append(ctx context.Context, c *fleet.Change) error {
	if c.Release != nil {
		h.generation.Store(c.Generation)
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestStoreThatDoesNotAnswerIsUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		s.put("main@1", acme())
		r := start(t, s, &hanging{})
		synctest.Wait()
		_, err := r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/db"))
		if !errors.Is(err, fleet.ErrStore) {
			t.Errorf("DeleteObject = %v, want %v", err, fleet.ErrStore)
		}
		r.stop()
	})
}

// leaderless is a store whose lease nobody may have, as with a database's user who
// can only read.
type leaderless struct{ hanging }

func (*leaderless) Lead(context.Context, string, time.Duration) (bool, int64, error) {
	return false, 0, fmt.Errorf("lease: %w: permission denied", fleet.ErrStore)
}

func TestServerThatCannotLeadSaysSoOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := controller.New(controller.Config{Store: &leaderless{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := f.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "permission denied"); n != 1 {
			t.Errorf("it was told %d times, want once:\n%s", n, log.String())
		}
	})
}

func TestReleaseAndWritesAtTheSameTimeAreBothServed(t *testing.T) {
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
			t.Errorf("input = %s, want what writer %d asked for on the last release", got, n)
		}
	}
}
