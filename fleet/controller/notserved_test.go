package controller_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// broken returns the file of a cluster, with a field that is unknown.
func broken(name, field string) string { return clusterFile(name, "prod") + field + ": 1\n" }

func TestClusterThatWasNeverServedIsAnsweredWithItsLatestFault(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	r := startGuarded(t, open)
	for i, field := range []string{"bogus", "wrong"} {
		revision := fmt.Sprint("main@", i+2)
		r.release(revision, guarded(open, "clusters/eve.yaml", broken("eve", field)))
		if _, err := r.member("eve").Body("apps"); err == nil || !strings.Contains(err.Error(), field+": unknown field") {
			t.Errorf("a poll of eve is answered %v, want the fault of %s", err, revision)
		}
	}
}

func TestFollowerKnowsClustersThatOnlyTheRolloutDescribes(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n" + inWaves
	url := sqliteFile(t)
	s := newSource()
	s.put("main@1", guarded(open, "clusters/eve.yaml", broken("eve", "bogus")))
	leader := start(t, s, openStore(t, url))
	leader.awaitRevision("main@1")
	follower := start(t, s, openStore(t, url), func(c *controller.Config) { c.ReadOnly = true })
	follower.awaitRevision("main@1")
	leader.propose("main@2", guarded(open, "base/db.yaml", app("db", "{tag: v2}"), "clusters/eve.yaml", clusterFile("eve", "prod")), fleet.Live)
	leader.wantRevisions("ann=main@2 bob=main@2 cid=main@1 eve=")
	follower.awaitLog()
	for server, r := range map[string]*rig{"leader": leader, "follower": follower} {
		if m, err := r.view().Member("eve.example.com"); err != nil || m.Cluster.Name != "eve" {
			t.Errorf("the %s does not find eve by its dns: %v", server, err)
		}
	}
	leader.decide(fleet.Abort, "main@2", "")
	follower.awaitLog()
	for server, r := range map[string]*rig{"leader": leader, "follower": follower} {
		if _, err := r.view().Member("eve.example.com"); err == nil {
			t.Errorf("the %s finds eve by the dns of a rollout that was aborted", server)
		}
	}
}
