package controller_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

func TestDeclaredClusterIsServedAndFollowsItsLabels(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	tree := acme("fleet.yaml", strings.Replace(string(acme()["fleet.yaml"].Data), "[{selector: {}, overlay: base}]",
		"[{selector: {}, overlay: base}, {selector: {matchLabels: {tier: gold}}, components: [components/extra]}]", 1))
	r.release("main@2", tree)
	r.apply(`{name: dev, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: db, patch: {spec: {tag: v9}}}]}`)
	r.declare(`{name: dot, dns: dot.example.com, labels: {environment: dev}, patches: [{target: {kind: App, name: web}, patch: '[{"op": "replace", "path": "/spec/tag", "value": "own"}]'}],
		resources: [{apiVersion: example.com/v1, kind: App, metadata: {name: inline}, spec: {tag: "yes"}}]}`)
	r.wantInput("dot.example.com", "db", `{"replicas":1,"tag":"v9"}`)
	r.wantInput("dot", "inline", `{"tag":"yes"}`)
	r.wantInput("dot", "extra", "")
	result, err := r.Redeclare(t.Context(), ada, "dot", []byte(`{"labels":{"environment":"prod","tier":"gold"}}`))
	if err != nil {
		t.Fatal(err)
	}
	r.wantInput("dot", "db", `{"replicas":1,"tag":"v1"}`)
	r.wantInput("dot", "extra", `{"tag":"v1"}`)
	if len(result.Clusters) != 1 || result.Generation != r.view().Generation() {
		t.Errorf("result = %+v", result)
	}
	before := bodies(t, r.view())
	r = r.restart()
	if got := bodies(t, r.view()); got != before {
		t.Errorf("served after a restart = %s, want %s", got, before)
	}
}

func TestRefusedDeclarationChangesNothing(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, dns: dot.example.com}`)
	for document, want := range map[string]error{
		`{name: ann}`:                             fleet.ErrConflict, // declared in Git
		`{name: dot}`:                             fleet.ErrConflict,
		`{name: eve, dns: ann.example.com}`:       fleet.ErrConflict,
		`{name: eve, dns: dot.example.com}`:       fleet.ErrConflict,
		`{name: eve, dns: eve}`:                   fleet.ErrInvalid,
		`{name: Eve}`:                             fleet.ErrInvalid,
		`{name: eve, label: {a: b}}`:              fleet.ErrInvalid,
		`{name: eve, labels: {"a b": c}}`:         fleet.ErrInvalid,
		`{name: eve, overlay: nowhere}`:           fleet.ErrInvalid,
		`{name: eve, overlay: ../../etc}`:         fleet.ErrInvalid,
		`{name: eve, components: [components/x]}`: fleet.ErrInvalid,
	} {
		r.wantRefused(want, func() (*fleet.Result, error) {
			_, result, err := r.Declare(t.Context(), ada, []byte(document))
			return result, err
		})
	}
	for patch, want := range map[string]error{
		`{"name": "eve"}`:            fleet.ErrInvalid,
		`{"dns": "cid.example.com"}`: fleet.ErrConflict,
		`{"overlay": "nowhere"}`:     fleet.ErrInvalid,
		`[]`:                         fleet.ErrInvalid,
		`{"what": 1}`:                fleet.ErrInvalid,
	} {
		r.wantRefused(want, func() (*fleet.Result, error) { return r.Redeclare(t.Context(), ada, "dot", []byte(patch)) })
	}
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.Redeclare(t.Context(), ada, "ann", []byte(`{"labels":{"environment":"prod"}}`))
	})
}

// Polls of a decommissioned cluster are answered with [] until it is purged, whatever Git, a
// registration or a restart brings. A purged cluster is unknown.
func TestDecommissionedClusterIsServedEmptySetsUntilPurged(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/web", `{"spec":{"tag":"own"}}`)
	result, err := r.Decommission(t.Context(), ada, "ann.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Changes) != 3 || result.Changes[0].After != nil {
		t.Errorf("result = %+v, want each input removed", result)
	}
	const empty = `{"inputs":[]}` + "\n" + `{"inputs":[]}`
	check := func(r *rig) {
		t.Helper()
		for _, name := range []string{"ann", "ann.example.com"} {
			if got := r.answers(name, "apps", "deployments"); got != empty {
				t.Errorf("answers for %s = %s", name, got)
			}
		}
		r.wantState("ann", fleet.ClusterDecommissioned)
		if _, err := r.member("ann").Body("nothing"); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("Body of an unknown set: error %v, want %v", err, fleet.ErrNotFound)
		}
	}
	check(r)
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Purge(t.Context(), ada, "ann") }) // its file exists
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Purge(t.Context(), ada, "bob") }) // it is active
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		_, result, err := r.Declare(t.Context(), ada, []byte("{name: ann}"))
		return result, err
	})
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/web"))
	})
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: 1}); err != nil {
		t.Fatal(err)
	}
	check(r)
	r = r.restart()
	check(r)
	r.release("main@2", acme("base/web.yaml", app("web", "{tag: v2}"), "base/db.yaml", app("db", "{tag: v2}")))
	check(r)

	tree := acme("fleet.yaml", strings.Replace(string(acme()["fleet.yaml"].Data), "name: deployments", "name: others", 1))
	delete(tree, "clusters/ann.yaml")
	r.release("main@3", tree)
	check(r) // also the set that no longer exists
	if _, err := r.Purge(t.Context(), ada, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.view().Member("ann"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Member of a purged cluster: error %v, want %v", err, fleet.ErrNotFound)
	}
	if r.ownDelta("ann") != "" {
		t.Error("the own delta of a purged cluster is still there")
	}
	r = r.restart()
	if _, err := r.view().Member("ann"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Member of a purged cluster after a restart: error %v, want %v", err, fleet.ErrNotFound)
	}
	r.release("main@4", acme())
	r.wantState("ann", fleet.ClusterActive)
}

// A cluster whose file vanishes stays on the last release that had the file, through restarts and
// further releases. Deltas still apply.
func TestClusterWhoseFileVanishesIsOrphanedOnItsRelease(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	was := r.answers("ann", "apps", "deployments")
	tree := acme("base/web.yaml", app("web", "{tag: v2}"))
	delete(tree, "clusters/ann.yaml")
	r.release("main@2", tree)
	check := func(r *rig) {
		t.Helper()
		r.wantState("ann", fleet.ClusterOrphaned)
		if got := r.answers("ann.example.com", "apps", "deployments"); got != was {
			t.Errorf("answers for ann = %s, want %s", got, was)
		}
		if got := r.member("ann").Release().Revision; got != "main@1" {
			t.Errorf("release of ann = %s, want main@1", got)
		}
		r.wantInput("bob", "web", `{"tag":"v2"}`)
	}
	check(r)
	tree["fleet.yaml"].Data = []byte(strings.Replace(string(tree["fleet.yaml"].Data), "name: deployments", "name: others", 1))
	r.release("main@3", tree)
	check(r)
	r = r.restart()
	check(r)
	r.patch("ann", "App/web", `{"spec":{"tag":"own"}}`)
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	r = r.restart()
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Redeclare(t.Context(), ada, "ann", []byte(`{}`)) })

	r.release("main@4", acme()) // the file returns
	r.wantState("ann", fleet.ClusterActive)
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	if got := r.member("ann").Release().Revision; got != "main@4" {
		t.Errorf("release of ann = %s, want main@4", got)
	}
	r.release("main@5", tree) // and vanishes again
	r = r.restart()
	r.wantState("ann", fleet.ClusterOrphaned)
	if got := r.member("ann").Release().Revision; got != "main@4" {
		t.Errorf("release of ann = %s, want its last one, main@4", got)
	}
}

func TestOrphanedClusterMayBeDeclaredOrDecommissioned(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	tree := acme("base/web.yaml", app("web", "{tag: v2}"))
	delete(tree, "clusters/ann.yaml")
	delete(tree, "clusters/bob.yaml")
	r.release("main@2", tree)
	r.declare(`{name: ann, dns: ann.example.com, labels: {environment: dev}}`)
	r.wantState("ann", fleet.ClusterActive)
	r.wantInput("ann", "web", `{"tag":"v2"}`)
	if _, err := r.Decommission(t.Context(), ada, "bob"); err != nil {
		t.Fatal(err)
	}
	if got := r.answers("bob.example.com", "apps"); got != `{"inputs":[]}` {
		t.Errorf("answers for bob = %s", got)
	}
	if _, err := r.Purge(t.Context(), ada, "bob"); err != nil {
		t.Fatal(err)
	}
}

// Renaming a file gives the dns to the new cluster. The old cluster is orphaned.
func TestRenamedClusterTakesItsDNS(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	tree := acme("clusters/new.yaml", strings.Replace(clusterFile("new", "dev"), "new.example.com", "ann.example.com", 1))
	delete(tree, "clusters/ann.yaml")
	r.release("main@2", tree)
	r.wantState("ann", fleet.ClusterOrphaned)
	if got := r.member("ann.example.com").Cluster.Name; got != "new" {
		t.Errorf("the dns belongs to %s, want new", got)
	}
}

// A file may use a dns that was declared through the API for another cluster, where the guard allows
// it. The file wins, and the clash is reported.
func TestDNSOfAFileBeatsADeclaredOne(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, dns: eve.example.com}`)
	r.release("main@2", acme("clusters/eve.yaml", clusterFile("eve", "dev")))
	if got := r.member("eve.example.com").Cluster.Name; got != "eve" {
		t.Errorf("the dns belongs to %s, want eve", got)
	}
	r.wantState("dot", fleet.ClusterActive)
	if got := r.view().Release().Problems.Error(); !strings.Contains(got, `"eve"`) || !strings.Contains(got, `"dot"`) {
		t.Errorf("problems of the release = %s", got)
	}
	r.declare(`{name: fay, dns: fay.example.com}`) // the clash does not prevent other declarations
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.Redeclare(t.Context(), ada, "fay", []byte(`{"dns":"eve.example.com"}`))
	})
}

func TestRollbackDoesNotCrossAPurge(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, labels: {environment: dev}}`)
	before := r.patch("dot", "App/web", `{"spec":{"tag":"own"}}`).Generation
	for _, end := range []func(context.Context, controller.WriteOptions, string) (*fleet.Result, error){r.Decommission, r.Purge} {
		if _, err := end(t.Context(), ada, "dot"); err != nil {
			t.Fatal(err)
		}
	}
	r.declare(`{name: dot, labels: {environment: prod}}`)
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.Rollback(t.Context(), ada, controller.Rollback{Generation: before})
	})
	if got := r.member("dot").Cluster.Labels["environment"]; got != "prod" || r.ownDelta("dot") != "" {
		t.Errorf("the new cluster is in %s and has the own delta %s", got, r.ownDelta("dot"))
	}
}

func TestRollbackRestoresDeclarations(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	at := r.declare(`{name: dot, labels: {environment: dev}}`).Generation
	r.patch("dot", "App/web", `{"spec":{"tag":"own"}}`)
	if _, err := r.Redeclare(t.Context(), ada, "dot", []byte(`{"labels":{"environment":"prod"},"dns":"dot.example.com"}`)); err != nil {
		t.Fatal(err)
	}
	r.declare(`{name: eve, labels: {environment: dev}}`) // newer than the generation of the rollback, stays
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: at, Delta: fleet.OwnID("dot")}); err != nil {
		t.Fatal(err)
	}
	if c := r.member("dot").Cluster; c.Labels["environment"] != "dev" || c.DNS != "" || r.ownDelta("dot") != "" {
		t.Errorf("dot = %+v with the own delta %s", c, r.ownDelta("dot"))
	}
	r.wantState("eve", fleet.ClusterActive)
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) { // neither of them is older
		return r.Rollback(t.Context(), ada, controller.Rollback{Generation: 1})
	})
	r.wantState("dot", fleet.ClusterActive)
	r.wantState("eve", fleet.ClusterActive)

	had := r.declare(`{name: gus, dns: gus.example.com}`).Generation
	if _, err := r.Redeclare(t.Context(), ada, "gus", []byte(`{"dns":null}`)); err != nil {
		t.Fatal(err)
	}
	r.declare(`{name: hal, dns: gus.example.com}`)
	r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) {
		return r.Rollback(t.Context(), ada, controller.Rollback{Generation: had, Delta: fleet.OwnID("gus")})
	})
	now := r.declare(`{name: fay, labels: {environment: dev}}`).Generation
	if _, err := r.Redeclare(t.Context(), ada, "fay", []byte(`{"labels":{"environment":"prod"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decommission(t.Context(), ada, "fay"); err != nil {
		t.Fatal(err)
	}
	r.wantRefused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.Rollback(t.Context(), ada, controller.Rollback{Generation: now})
	})
	r.wantState("fay", fleet.ClusterDecommissioned)
}
