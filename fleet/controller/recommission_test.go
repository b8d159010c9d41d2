package controller_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
)

func (r *rig) decommission(cluster string) {
	r.t.Helper()
	if _, err := r.Decommission(r.t.Context(), ada, cluster); err != nil {
		r.t.Fatal(err)
	}
	if got := r.answers(cluster, "apps"); got != `{"inputs":[]}` {
		r.t.Fatalf("answers for %s, which is decommissioned = %s", cluster, got)
	}
}

func (r *rig) recommission(cluster string) {
	r.t.Helper()
	if _, err := r.Recommission(r.t.Context(), ada, cluster); err != nil {
		r.t.Fatal(err)
	}
}

func TestRecommissionBringsAClusterBackAsItWas(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, dns: dot.example.com, labels: {environment: prod}}`)
	r.patch("ann", "App/web", `{"spec": {"tag": "own"}}`)
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"bob"}}, Release: "main@1"})
	r.release("main@2", acme("base/db.yaml", app("db", "{tag: v2}")))
	for _, cluster := range []string{"ann", "bob", "cid", "dot"} {
		sets := []string{"apps", "deployments"}
		before, on := r.answers(cluster, sets...), r.revisions()
		r.decommission(cluster)
		r = r.restart()
		r.recommission(cluster)
		r.wantState(cluster, fleet.ClusterActive)
		if got := r.answers(cluster, sets...); got != before {
			t.Errorf("answers for %s = %s, want %s as before", cluster, got, before)
		}
		r.wantRevisions(on)
	}
	if got := r.history(); got[len(got)-1].Kind != fleet.Recommissioned || got[len(got)-1].Actor != "ada" {
		t.Errorf("the last entry of the history is %+v", got[len(got)-1])
	}
	r = r.restart()
	r.wantState("dot", fleet.ClusterActive)
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Recommission(t.Context(), ada, "ann") })
	r.wantRefused(fleet.ErrNotFound, func() (*fleet.Result, error) { return r.Recommission(t.Context(), ada, "none") })
}

// Whatever the fleet does meanwhile, the cluster comes back to where it should be by now, or to what it
// had where nothing declares it any more.
func TestRecommissionWithoutAFileOrphansTheCluster(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	before := r.answers("ann", "apps", "deployments")
	r.decommission("ann")
	tree := acme("base/db.yaml", app("db", "{tag: v2}"))
	delete(tree, "clusters/ann.yaml")
	r.release("main@2", tree)
	r = r.restart()
	r.recommission("ann")
	r.wantState("ann", fleet.ClusterOrphaned)
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
	if got := r.answers("ann", "apps", "deployments"); got != before {
		t.Errorf("answers for ann = %s, want %s as before", got, before)
	}
	r = r.restart()
	if got := r.answers("ann.example.com", "apps", "deployments"); got != before {
		t.Errorf("answers for ann after a restart = %s, want %s as before", got, before)
	}
	r.release("main@3", acme("base/db.yaml", app("db", "{tag: v3}")))
	r.wantState("ann", fleet.ClusterActive)
	r.wantRevisions("ann=main@3 bob=main@3 cid=main@3")
}

// The file of the cluster vanished while it was pinned to a release that has none of it.
func TestRecommissionKnowsWhatOnlyTheLiveFileSaid(t *testing.T) {
	t.Parallel()
	s := newSource()
	young := acme()
	delete(young, "clusters/ann.yaml")
	s.put("main@1", young)
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	r.release("main@2", acme("base/db.yaml", app("db", "{tag: v2}")))
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"ann"}}, Release: "main@1"})
	before := r.answers("ann", "apps")
	r.decommission("ann")
	if _, err := r.Unpin(t.Context(), ada, "old"); err != nil {
		t.Fatal(err)
	}
	tree := acme("base/db.yaml", app("db", "{tag: v3}"))
	delete(tree, "clusters/ann.yaml")
	r.release("main@3", tree)
	r = r.restart()
	r.recommission("ann")
	r.wantRevisions("ann=main@1 bob=main@3 cid=main@3")
	if got := r.answers("ann", "apps"); got != before {
		t.Errorf("answers for ann = %s, want %s as before", got, before)
	}
}

func TestRecommissionDuringARolloutGoesWhereTheClusterShouldBe(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, inWaves)
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decommission("ann") // which the first wave has reached
	r.recommission("ann")
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	r.decommission("ann")
	r.decide(fleet.Abort, "main@2", "")
	r.recommission("ann")
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@1")
}

func TestRecommissionLeavesADNSToWhoeverHasItNow(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, dns: dot.example.com}`)
	r.decommission("dot")
	r.release("main@2", acme("clusters/new.yaml", fileWithDNS("new", "dot.example.com")))
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Recommission(t.Context(), ada, "dot") })
}

// Whatever the guard says: a cluster that comes back loses nothing by that.
func TestRecommissionIsNoLoss(t *testing.T) {
	t.Parallel()
	const strict = "  guard: {orphanedClusters: 0, removedPerFleet: 100%, removedPerCluster: 100%, allowVanishedSets: false}\n"
	withoutANN := guarded(strict)
	delete(withoutANN, "clusters/ann.yaml")
	for name, tree := range map[string]fstest.MapFS{
		"of its file":          withoutANN,
		"of a set":             guarded(strict, "fleet.yaml", strings.Replace(string(guarded(strict)["fleet.yaml"].Data), "name: deployments", "name: deploys", 1)),
		"of a part of a delta": guarded(strict, "base/web.yaml", app("web", "{tag: v1}")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startGuarded(t, strict)
			r.apply(`{name: ports, clusters: [ann], patches: [{target: {kind: App, name: web}, patch: '[{"op": "test", "path": "/spec/ports/0", "value": 80}]'}]}`)
			r.decommission("ann")
			r.proposeAnd(fleet.Approve, "main@2", tree)
			r.recommission("ann")
			if lost := r.history()[len(r.history())-1].Losses; lost != nil {
				t.Errorf("the log says that the fleet lost %+v", lost)
			}
		})
	}
}

// proposeAnd moves the source to a revision, and approves its release where it is held.
func (r *rig) proposeAnd(verdict fleet.Verdict, revision string, tree fstest.MapFS) {
	r.t.Helper()
	r.source.put(revision, tree)
	r.awaitLook()
	if r.stateOf(revision) == fleet.Held {
		r.decide(verdict, revision, "")
	}
	r.awaitRevision(revision)
}
