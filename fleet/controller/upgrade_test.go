package controller_test

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/render"
)

// upgradedRenderer is a renderer that, once now is true, finds a fault in the cluster ann of trees
// that have the file "old". The fault is that of the cluster, or of its stack if stack is true.
type upgradedRenderer struct {
	render.Renderer
	stack bool
	now   *atomic.Bool
}

func (u upgradedRenderer) Compile(ctx context.Context, tree fs.FS) (fleet.Repo, error) {
	repo, err := u.Renderer.Compile(ctx, tree)
	if _, missing := fs.Stat(tree, "old"); err != nil || missing != nil || !u.now.Load() {
		return repo, err
	}
	return stricterRepo{repo, u.stack}, nil
}

type stricterRepo struct {
	fleet.Repo
	stack bool
}

func (s stricterRepo) Problems() fleet.Problems {
	if s.stack {
		return fleet.Problems{{File: "base", Message: "cannot be built any more"}}
	}
	return s.Repo.Problems()
}

func (s stricterRepo) Render(ctx context.Context, c *fleet.Cluster, deltas []*fleet.Delta, earlier *fleet.Rendering) (*fleet.Rendering, fleet.Problems) {
	switch {
	case c.Name != "ann":
		return s.Repo.Render(ctx, c, deltas, earlier)
	case s.stack:
		return nil, nil
	}
	return nil, fleet.Problems{{Cluster: "ann", Message: "is refused by this version"}}
}

// upgrade starts a server, releases acme as main@1 and each further tree as main@2, stops the server
// and starts one of the next version on its store.
func upgrade(t *testing.T, stack bool, more ...fs.FS) *rig {
	t.Helper()
	u := upgradedRenderer{stack: stack, now: &atomic.Bool{}}
	with := func(c *controller.Config) { c.Renderer = u }
	url, s := sqliteFile(t), newSource()
	s.put("main@1", acme("old", ""))
	r := start(t, s, openStore(t, url), with)
	r.awaitRevision("main@1")
	revision := "main@1"
	for _, tree := range more {
		revision = "main@2"
		r.release(revision, tree)
	}
	r.stop()
	u.now.Store(true)
	r = start(t, s, openStore(t, url), with)
	r.awaitRevision(revision)
	return r
}

// wantUnserved checks that a cluster is known and has no answer yet.
func (r *rig) wantUnserved(cluster string) {
	r.t.Helper()
	m, err := r.view().Member(cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	if body, err := m.Body("apps"); !errors.Is(err, fleet.ErrNotReady) {
		r.t.Errorf("inputs of %s = %v, %v, want %v", cluster, body, err, fleet.ErrNotReady)
	}
}

func eachFault(t *testing.T, test func(t *testing.T, stack bool)) {
	t.Run("of the cluster", func(t *testing.T) { test(t, false) })
	t.Run("of its stack", func(t *testing.T) { test(t, true) })
}

func TestOrphanThatAnUpgradeCannotRenderAffectsNoOtherCluster(t *testing.T) {
	t.Parallel()
	eachFault(t, func(t *testing.T, stack bool) {
		gone := acme()
		delete(gone, "clusters/ann.yaml")
		r := upgrade(t, stack, gone)
		r.wantState("ann", fleet.ClusterOrphaned)
		r.wantUnserved("ann")
		r.patch("bob", "App/web", `{"spec": {"tag": "v3"}}`)
		next := acme("base/db.yaml", app("db", "{tag: v2}"))
		delete(next, "clusters/ann.yaml")
		r.release("main@3", next)
		r.wantUnserved("ann")
		if _, err := r.Decommission(t.Context(), ada, "ann"); err != nil {
			t.Fatal(err)
		}
		if body, err := r.member("ann").Body("apps"); err != nil || string(body.JSON()) != `{"inputs":[]}` {
			t.Errorf("answer for ann after the decommission = %v, %v", body, err)
		}
	})
}

func TestClusterThatAnUpgradeCannotRenderAffectsNoOtherCluster(t *testing.T) {
	t.Parallel()
	eachFault(t, func(t *testing.T, stack bool) {
		r := upgrade(t, stack)
		r.wantUnserved("ann")
		r.wantInput("bob", "db", `{"replicas":1,"tag":"v1"}`)
		if why := r.view().Why(r.member("ann")); !strings.Contains(why, "this version of Tributary cannot render") {
			t.Errorf("Why(ann) = %q, want the reason", why)
		}
		next := acme()
		delete(next, "clusters/ann.yaml")
		delete(next, "clusters/bob.yaml")
		r.release("main@2", next)
		r.wantState("ann", fleet.ClusterOrphaned)
		r.wantUnserved("ann")
		r.wantState("bob", fleet.ClusterOrphaned)
		r.wantInput("bob", "db", `{"replicas":1,"tag":"v1"}`)
	})
}

// What a cluster was served before the upgrade is unknown, and so is what it would lose.
func TestReleaseForAClusterWhoseInputsAreUnknownIsHeld(t *testing.T) {
	t.Parallel()
	eachFault(t, func(t *testing.T, stack bool) {
		r := upgrade(t, stack)
		r.wantUnserved("ann")
		held := r.propose("main@2", acme("base/kustomization.yaml", noDB), fleet.Held)
		if !slices.Equal(rules(held.Violations), []string{"served"}) || held.Violations[0].Cluster != "ann" {
			t.Errorf("violations = %v, want served, of ann", held.Violations)
		}
		r.wantUnserved("ann")
		r.decide(fleet.Approve, "main@2", "")
		r.awaitRevision("main@2")
		r.wantInput("ann", "db", "")
		r.release("main@3", acme())
	})
}
