package controller_test

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestAbortKeepsAClusterWhoseFileMovedAwayFromOneThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n" + inWaves
	r := startGuarded(t, open)
	r.propose("main@2", guarded(open, "clusters/ann.yaml", "{", "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
	tree := guarded(open, "clusters/moved.yaml", clusterFile("ann", "dev"), "base/db.yaml", app("db", "{tag: v3}"))
	delete(tree, "clusters/ann.yaml")
	r.propose("main@3", tree, fleet.Live)
	r.wantRevisions("ann=main@3 bob=main@3 cid=main@2")
	r.decide(fleet.Abort, "main@3", "")
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
	r.wantState("ann", fleet.ClusterActive)
	r = r.restart()
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
}

func TestUnpinKeepsAClusterWhoseFileMovedToOneThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2, allowEmptySets: true, allowVanishedSets: true, removedPerCluster: 100%, removedPerFleet: 100%, removedEverywhere: 100%}\n"
	s := newSource()
	tree := guarded(open, "clusters/moved.yaml", clusterFile("ann", "dev"))
	delete(tree, "clusters/ann.yaml")
	s.put("main@1", tree)
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	r.release("main@2", guarded(open))
	r.release("main@3", guarded(open, "clusters/ann.yaml", "{", "base/db.yaml", app("db", "{tag: v2}")))
	r.wantRevisions("ann=main@2 bob=main@3 cid=main@3")
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"ann"}}, Release: "main@1"})
	r.wantRevisions("ann=main@1 bob=main@3 cid=main@3")
	if _, err := r.Unpin(t.Context(), ada, "old"); err != nil {
		t.Fatal(err)
	}
	r.wantRevisions("ann=main@2 bob=main@3 cid=main@3")
}

func TestAbortLeavesAClusterActiveWhoseFileCannotBeRead(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n" + inWaves
	r := startGuarded(t, open)
	r.propose("main@2", guarded(open, "clusters/cid.yaml", "{", "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	r.propose("main@3", guarded(open, "clusters/cid.yaml", "{", "base/db.yaml", app("db", "{tag: v3}")), fleet.Live)
	r.decide(fleet.Abort, "main@3", "")
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	r.wantState("cid", fleet.ClusterActive)
	r.propose("main@4", guarded(open, "base/db.yaml", app("db", "{tag: v4}")), fleet.Live)
	r.wantRevisions("ann=main@4 bob=main@4 cid=main@1") // it is in the last wave
}
