package controller_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

// startServers starts n controllers on one PostgreSQL database, each with a store of its own.
func startServers(t *testing.T, n int) ([]*rig, database) {
	t.Helper()
	server := pgtest.Start(t)
	url := server.Database(t)
	s := newSource()
	s.put("main@1", acme())
	var all []*rig
	for range n {
		r := start(t, s, openStore(t, url))
		r.awaitRevision("main@1")
		all = append(all, r)
	}
	return all, database{server, url}
}

// database is a database of a PostgreSQL server.
type database struct {
	*pgtest.Server
	url string
}

// wantSameViews waits until all controllers are at one generation and checks that they serve the same.
func wantSameViews(t *testing.T, all []*rig) {
	t.Helper()
	last := int64(0)
	for _, r := range all {
		last = max(last, r.view().Generation())
	}
	for _, r := range all {
		r.await(fmt.Sprintf("generation %d", last), func() bool { return r.view().Generation() >= last })
	}
	for _, r := range all[1:] {
		if got, want := bodies(t, r.view()), bodies(t, all[0].view()); got != want || r.view().Generation() != all[0].view().Generation() {
			t.Errorf("one server serves\n%s\nthe other\n%s", want, got)
		}
	}
}

func leaders(all []*rig) (leading []*rig) {
	for _, r := range all {
		if r.Status().Leading {
			leading = append(leading, r)
		}
	}
	return leading
}

func TestServersAtTheSameGenerationServeTheSame(t *testing.T) {
	t.Parallel()
	all, _ := startServers(t, 3)
	var writing sync.WaitGroup
	for i, r := range all {
		writing.Go(func() {
			boot, err := r.CreateToken(t.Context(), ada, credential.Request{Name: fmt.Sprint("boot", i), Role: fleet.RoleBootstrap})
			if err != nil {
				t.Error(err)
				return
			}
			for n := range 20 {
				name := fmt.Sprintf("new-%d-%d", i, n)
				if _, err := r.register(r.registrationCredential(boot.Secret), credential.Registration{Name: name}); err != nil {
					t.Error(err)
				}
				r.patch(name, "App/web", fmt.Sprintf(`{"spec":{"tag":"v%d"}}`, n))
				if n%4 == 0 {
					if _, err := r.Decommission(t.Context(), ada, name); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writing.Wait()
	wantSameViews(t, all)
	if n := len(all[0].view().Members()); n != 63 {
		t.Errorf("%d clusters, want 63", n)
	}
	all[0].source.put("main@2", acme("base/db.yaml", app("db", "{tag: v2}")))
	all[1].Look() // any server may lead
	for _, r := range all {
		r.awaitRevision("main@2")
	}
	wantSameViews(t, all)
	seen := map[int64]bool{}
	for _, c := range all[0].history() {
		if seen[c.Generation] {
			t.Errorf("two changes have generation %d", c.Generation)
		}
		seen[c.Generation] = true
	}
}

func TestAnotherServerTakesOverFromAStoppedLeader(t *testing.T) {
	t.Parallel()
	all, _ := startServers(t, 3)
	for round := range 2 {
		all[0].await("a leader", func() bool { return len(leaders(all)) == 1 })
		leading := leaders(all)[0]
		leading.stop()
		var left []*rig
		for _, r := range all {
			if r != leading {
				left = append(left, r)
			}
		}
		all = left
		all[0].await("another leader", func() bool { return len(leaders(all)) == 1 })
		all[0].source.put(fmt.Sprint("main@", round+2), acme())
		all[0].Look()
		all[0].awaitRevision(fmt.Sprint("main@", round+2))
	}
}

// A leader that stops responding leads no longer than its lease, and its later changes are refused.
func TestLeaseThatIsNotRenewedExpires(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url := server.Database(t)
	s := newSource()
	s.put("main@1", acme())
	pausing := &pausedStore{Store: openStore(t, url)}
	a := start(t, s, pausing)
	a.awaitRevision("main@1")
	a.await("the lease", func() bool { return a.Status().Leading })
	pausing.pause()
	defer pausing.resume()
	b := start(t, s, openStore(t, url))
	b.await("the takeover", func() bool { return b.Status().Leading })
	b.release("main@2", acme("base/db.yaml", app("db", "{tag: v2}")))
	c := &fleet.Change{Generation: b.view().Generation() + 1, At: time.Now(), Kind: fleet.Withdrawn, Actor: "tributary", Holder: "former leader"}
	if err := openStore(t, url).Append(t.Context(), c); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Append of a former leader = %v, want %v", err, fleet.ErrConflict)
	}
}

// pausedStore is a store whose lease cannot be renewed while it is paused.
type pausedStore struct {
	fleet.Store
	mu sync.RWMutex
}

func (p *pausedStore) pause()  { p.mu.Lock() }
func (p *pausedStore) resume() { p.mu.Unlock() }

func (p *pausedStore) Lead(ctx context.Context, holder string, ttl time.Duration) (bool, int64, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.Store.Lead(ctx, holder, ttl)
}

func TestReadOnlyServerFollowsAndRefusesWrites(t *testing.T) {
	t.Parallel()
	all, database := startServers(t, 1)
	reader, err := sqlstore.OpenReadOnly(t.Context(), database.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	follower := start(t, all[0].source, reader, func(c *controller.Config) { c.ReadOnly, c.Source = true, nil })
	follower.awaitRevision("main@1")
	all[0].patch("ann", "App/web", `{"spec":{"tag":"own"}}`)
	wantSameViews(t, []*rig{all[0], follower})
	all[0].release("main@2", acme("base/db.yaml", app("db", "{tag: v2}")))
	follower.awaitRevision("main@2")
	wantSameViews(t, []*rig{all[0], follower})
	if follower.Status().Leading {
		t.Error("a read-only server leads")
	}
	follower.wantRefused(fleet.ErrReadOnly, func() (*fleet.Result, error) {
		return follower.DeleteObject(t.Context(), ada, "ann", objectNamed("App/db"))
	})
	if _, err := follower.CreateToken(t.Context(), ada, credential.Request{Name: "x", Role: fleet.RoleViewer}); !errors.Is(err, fleet.ErrReadOnly) {
		t.Errorf("CreateToken: %v, want %v", err, fleet.ErrReadOnly)
	}
}

// Without its database a server refuses writes and still answers polls. Writes work again when the
// database returns.
func TestLostDatabaseStopsOnlyWrites(t *testing.T) {
	t.Parallel()
	all, server := startServers(t, 2)
	before := bodies(t, all[0].view())
	server.Stop(t)
	for _, r := range all {
		if _, err := r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/db")); !errors.Is(err, fleet.ErrStore) {
			t.Errorf("write without the database: error %v, want %v", err, fleet.ErrStore)
		}
		if got := bodies(t, r.view()); got != before {
			t.Errorf("served without the database = %s, want %s", got, before)
		}
	}
	server.Resume(t)
	for i, r := range all {
		r.await("a write", func() bool {
			_, err := r.PatchObject(t.Context(), ada, "ann", objectNamed("App/web"), fleet.ObjectPatch{Type: fleet.MergePatch, Body: []byte(fmt.Sprintf(`{"spec":{"tag":"own%d"}}`, i))})
			return err == nil
		})
	}
	wantSameViews(t, all)
	all[0].await("a leader", func() bool { return len(leaders(all)) == 1 })
	all[0].source.put("main@2", acme())
	all[0].Look()
	for _, r := range all {
		r.awaitRevision("main@2")
	}
}

func TestRevokedTokenIsRevokedEverywhere(t *testing.T) {
	t.Parallel()
	all, _ := startServers(t, 2)
	made, err := all[0].CreateToken(t.Context(), ada, credential.Request{Name: "grace", Role: fleet.RoleViewer})
	if err != nil {
		t.Fatal(err)
	}
	known := func(r *rig) func() bool { return func() bool { return r.valid(made.Secret) } }
	all[1].await("the token", known(all[1]))
	if _, err := all[1].RevokeToken(t.Context(), ada, "grace"); err != nil {
		t.Fatal(err)
	}
	all[0].await("the end of the token", func() bool { return !known(all[0])() })
}

func TestPollsAreSharedBetweenServersAndSurviveAStop(t *testing.T) {
	t.Parallel()
	all, _ := startServers(t, 2)
	all[0].recordPoll("ann", "apps", 7, "flux-operator/v0.58.1")
	want := fleet.Poll{Cluster: "ann", Set: "apps", At: all[0].Polls(t.Context(), "ann")["ann"][0].At, Generation: 7, Release: all[0].member("ann").Release().ID(), Agent: "flux-operator/v0.58.1"}
	for _, r := range all {
		r.await("the poll", func() bool {
			polls := r.Polls(t.Context(), "ann", "bob")
			return len(polls["ann"]) == 1 && polls["ann"][0] == want && polls["bob"] == nil
		})
	}
	all[0].recordPoll("bob", "apps", 8, "")
	all[0].stop() // saves the remaining polls
	if polls := all[1].Polls(t.Context(), "bob")["bob"]; len(polls) != 1 || polls[0].Generation != 8 {
		t.Errorf("polls after a stop = %+v", polls)
	}
}

func TestPurgedClusterLeavesNoPolls(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot}`)
	r.recordPoll("dot", "apps", 2, "")
	r.await("the poll in the store", func() bool {
		polls, err := r.store.Polls(t.Context(), fleet.PollQuery{Clusters: []string{"dot"}})
		return err == nil && len(polls) == 1
	})
	for _, end := range []func(context.Context, controller.WriteOptions, string) (*fleet.Result, error){r.Decommission, r.Purge} {
		if _, err := end(t.Context(), ada, "dot"); err != nil {
			t.Fatal(err)
		}
	}
	r.declare(`{name: dot}`)
	if polls := r.Polls(t.Context(), "dot"); len(polls) != 0 {
		t.Errorf("polls of a new cluster with the name = %+v, want none", polls)
	}
}

// startProcesses starts two controllers on one SQLite file.
func startProcesses(t *testing.T) (a, b *rig) {
	t.Helper()
	url := sqliteFile(t)
	s := newSource()
	s.put("main@1", acme())
	a = start(t, s, openStore(t, url))
	a.awaitRevision("main@1")
	b = start(t, s, openStore(t, url))
	b.awaitRevision("main@1")
	return a, b
}

func TestWritesOfAnotherProcessAreServed(t *testing.T) {
	t.Parallel()
	a, b := startProcesses(t)
	a.patch("ann", "App/web", `{"spec": {"tag": "v2"}}`)
	b.await("the write of the other process", func() bool { return b.view().Generation() == a.view().Generation() })
	if got, want := bodies(t, b.view()), bodies(t, a.view()); got != want {
		t.Errorf("one server serves\n%s\nthe other\n%s", got, want)
	}
}

// The second process has not read the write of the first when it rolls back.
func TestWritesSeeTheWholeLog(t *testing.T) {
	t.Parallel()
	a, b := startProcesses(t)
	before := bodies(t, a.view())
	a.patch("ann", "App/web", `{"spec": {"tag": "v2"}}`)
	result, err := b.Rollback(t.Context(), controller.WriteOptions{Actor: "bob"}, controller.Rollback{Generation: 1})
	if err != nil || len(result.Changes) != 1 {
		t.Fatalf("Rollback = %+v, %v, want it to revert the write of the other process", result, err)
	}
	if got := bodies(t, b.view()); got != before {
		t.Errorf("after the rollback\n%s\nwant\n%s", got, before)
	}
}

func TestRevisionGoesLiveOnceForAllProcesses(t *testing.T) {
	t.Parallel()
	a, b := startProcesses(t)
	a.source.put("main@2", acme())
	a.Look()
	a.awaitRevision("main@2")
	b.Look()
	b.awaitRevision("main@2")
	b.await("the same generation", func() bool { return b.view().Generation() == a.view().Generation() })
	if n := len(a.history()); n != 2 {
		t.Errorf("%d changes, want the two revisions, each once", n)
	}
}
