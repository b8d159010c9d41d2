package controller_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
)

func (r *rig) declare(document string) *fleet.Result {
	r.t.Helper()
	_, result, err := r.Declare(r.t.Context(), ada, []byte(document))
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func (r *rig) member(cluster string) *view.Member {
	r.t.Helper()
	m, err := r.view().Member(cluster)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *rig) wantState(cluster string, want fleet.ClusterState) {
	r.t.Helper()
	if got := r.member(cluster).State; got != want {
		r.t.Errorf("%s is %s, want %s", cluster, got, want)
	}
}

// sets is what a cluster is answered, by set.
func (r *rig) sets(cluster string, sets ...string) string {
	r.t.Helper()
	var all []string
	for _, set := range sets {
		body, err := r.member(cluster).Body(set)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, string(body.JSON()))
	}
	return strings.Join(all, "\n")
}

// again is the fleet after a restart, with the same source and store.
func (r *rig) again(mend ...func(*controller.Config)) *rig {
	r.t.Helper()
	r.stop()
	next := start(r.t, r.source, r.store, mend...)
	next.await("the restart", func() bool { _, err := next.View(); return err == nil })
	return next
}

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
		t.Errorf("the result is %+v", result)
	}
	before := bodies(t, r.view())
	r = r.again()
	if got := bodies(t, r.view()); got != before {
		t.Errorf("after a restart %s, want %s", got, before)
	}
}

func TestClusterThatCannotBeDeclaredChangesNothing(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, dns: dot.example.com}`)
	for document, want := range map[string]error{
		`{name: ann}`:                             fleet.ErrConflict, // Git does
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
		r.refused(want, func() (*fleet.Result, error) {
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
		r.refused(want, func() (*fleet.Result, error) { return r.Redeclare(t.Context(), ada, "dot", []byte(patch)) })
	}
	r.refused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.Redeclare(t.Context(), ada, "ann", []byte(`{"labels":{"environment":"prod"}}`))
	})
}

// A decommissioned cluster is answered [] until it is purged, whatever Git, a
// registration or a restart say, and is then unknown.
func TestDecommissionedClusterIsAnsweredEmptyUntilItIsPurged(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/web", `{"spec":{"tag":"own"}}`)
	result, err := r.Decommission(t.Context(), ada, "ann.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Changes) != 3 || result.Changes[0].After != nil {
		t.Errorf("the result is %+v, want each input removed", result)
	}
	const empty = `{"inputs":[]}` + "\n" + `{"inputs":[]}`
	check := func(r *rig) {
		t.Helper()
		for _, name := range []string{"ann", "ann.example.com"} {
			if got := r.sets(name, "apps", "deployments"); got != empty {
				t.Errorf("%s is answered %s", name, got)
			}
		}
		r.wantState("ann", fleet.ClusterDecommissioned)
		if _, err := r.member("ann").Body("nothing"); !errors.Is(err, fleet.ErrNotFound) {
			t.Errorf("a set that it never had: %v, want %v", err, fleet.ErrNotFound)
		}
	}
	check(r)
	r.refused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Purge(t.Context(), ada, "ann") }) // its file is there
	r.refused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Purge(t.Context(), ada, "bob") }) // it is in use
	r.refused(fleet.ErrConflict, func() (*fleet.Result, error) {
		_, result, err := r.Declare(t.Context(), ada, []byte("{name: ann}"))
		return result, err
	})
	r.refused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/web"))
	})
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: 1}); err != nil {
		t.Fatal(err)
	}
	check(r)
	r = r.again()
	check(r)
	r.release("main@2", acme("base/web.yaml", app("web", "{tag: v2}"), "base/db.yaml", app("db", "{tag: v2}")))
	check(r)

	tree := acme("fleet.yaml", strings.Replace(string(acme()["fleet.yaml"].Data), "name: deployments", "name: others", 1))
	delete(tree, "clusters/ann.yaml")
	r.release("main@3", tree)
	check(r) // also the set that there is no more
	if _, err := r.Purge(t.Context(), ada, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.view().Member("ann"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a purged cluster: %v, want %v", err, fleet.ErrNotFound)
	}
	if r.own("ann") != "" {
		t.Error("a purged cluster leaves its own delta behind")
	}
	r = r.again()
	if _, err := r.view().Member("ann"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("a purged cluster after a restart: %v, want %v", err, fleet.ErrNotFound)
	}
	r.release("main@4", acme())
	r.wantState("ann", fleet.ClusterActive)
}

// A cluster whose file vanishes is frozen on the release that had it, through
// restarts and further releases, and deltas still apply.
func TestClusterWhoseFileVanishesIsFrozen(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	was := r.sets("ann", "apps", "deployments")
	tree := acme("base/web.yaml", app("web", "{tag: v2}"))
	delete(tree, "clusters/ann.yaml")
	r.release("main@2", tree)
	check := func(r *rig) {
		t.Helper()
		r.wantState("ann", fleet.ClusterOrphaned)
		if got := r.sets("ann.example.com", "apps", "deployments"); got != was {
			t.Errorf("ann is answered %s, want %s", got, was)
		}
		if got := r.member("ann").Release().Revision; got != "main@1" {
			t.Errorf("ann is on %s, want main@1", got)
		}
		r.wantInput("bob", "web", `{"tag":"v2"}`)
	}
	check(r)
	tree["fleet.yaml"].Data = []byte(strings.Replace(string(tree["fleet.yaml"].Data), "name: deployments", "name: others", 1))
	r.release("main@3", tree)
	check(r)
	r = r.again()
	check(r)
	r.patch("ann", "App/web", `{"spec":{"tag":"own"}}`)
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	r = r.again()
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	r.refused(fleet.ErrConflict, func() (*fleet.Result, error) { return r.Redeclare(t.Context(), ada, "ann", []byte(`{}`)) })

	r.release("main@4", acme()) // the file is back
	r.wantState("ann", fleet.ClusterActive)
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	if got := r.member("ann").Release().Revision; got != "main@4" {
		t.Errorf("ann is on %s, want main@4", got)
	}
	r.release("main@5", tree) // and gone again
	r = r.again()
	r.wantState("ann", fleet.ClusterOrphaned)
	if got := r.member("ann").Release().Revision; got != "main@4" {
		t.Errorf("ann is on %s, want what it was on last, main@4", got)
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
	if got := r.sets("bob.example.com", "apps"); got != `{"inputs":[]}` {
		t.Errorf("bob is answered %s", got)
	}
	if _, err := r.Purge(t.Context(), ada, "bob"); err != nil {
		t.Fatal(err)
	}
}

// One file that is renamed: the new cluster takes the dns, and the old one stays.
func TestRenamedClusterTakesItsDNS(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	tree := acme("clusters/new.yaml", strings.Replace(clusterFile("new", "dev"), "new.example.com", "ann.example.com", 1))
	delete(tree, "clusters/ann.yaml")
	r.release("main@2", tree)
	r.wantState("ann", fleet.ClusterOrphaned)
	if got := r.member("ann.example.com").Cluster.Name; got != "new" {
		t.Errorf("the dns is that of %s, want new", got)
	}
}

// A file may say a dns that the API has given to another. Whoever may register must
// not be able to hold up releases by that: the file's holds, and it is told.
func TestFileTakesADeclaredDNS(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.declare(`{name: dot, dns: eve.example.com}`)
	r.release("main@2", acme("clusters/eve.yaml", clusterFile("eve", "dev")))
	if got := r.member("eve.example.com").Cluster.Name; got != "eve" {
		t.Errorf("the dns is that of %s, want eve", got)
	}
	r.wantState("dot", fleet.ClusterActive)
	if got := r.view().Release().Problems.Error(); !strings.Contains(got, `"eve"`) || !strings.Contains(got, `"dot"`) {
		t.Errorf("the release has the problems %s", got)
	}
	r.declare(`{name: fay, dns: fay.example.com}`) // which the clash of others does not keep out
	r.refused(fleet.ErrConflict, func() (*fleet.Result, error) {
		return r.Redeclare(t.Context(), ada, "fay", []byte(`{"dns":"eve.example.com"}`))
	})
}

func TestRollbackDoesNotReachAClusterThatHadTheName(t *testing.T) {
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
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: before}); err != nil {
		t.Fatal(err)
	}
	if got := r.member("dot").Cluster.Labels["environment"]; got != "prod" || r.own("dot") != "" {
		t.Errorf("the new cluster is of %s, with %s", got, r.own("dot"))
	}
}

func TestRollbackRestoresWhatTheAPIDeclares(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	at := r.declare(`{name: dot, labels: {environment: dev}}`).Generation
	r.patch("dot", "App/web", `{"spec":{"tag":"own"}}`)
	if _, err := r.Redeclare(t.Context(), ada, "dot", []byte(`{"labels":{"environment":"prod"},"dns":"dot.example.com"}`)); err != nil {
		t.Fatal(err)
	}
	r.declare(`{name: eve, labels: {environment: dev}}`) // did not exist then, and stays
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: at, Delta: fleet.OwnID("dot")}); err != nil {
		t.Fatal(err)
	}
	if c := r.member("dot").Cluster; c.Labels["environment"] != "dev" || c.DNS != "" || r.own("dot") != "" {
		t.Errorf("dot is %+v with %s", c, r.own("dot"))
	}
	r.wantState("eve", fleet.ClusterActive)
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: 1}); err != nil {
		t.Fatal(err)
	}
	r.wantState("dot", fleet.ClusterActive)
	r.wantState("eve", fleet.ClusterActive)

	had := r.declare(`{name: gus, dns: gus.example.com}`).Generation
	if _, err := r.Redeclare(t.Context(), ada, "gus", []byte(`{"dns":null}`)); err != nil {
		t.Fatal(err)
	}
	r.declare(`{name: hal, dns: gus.example.com}`)
	r.refused(fleet.ErrInvalid, func() (*fleet.Result, error) {
		return r.Rollback(t.Context(), ada, controller.Rollback{Generation: had, Delta: fleet.OwnID("gus")})
	})
	now := r.declare(`{name: fay, labels: {environment: dev}}`).Generation
	if _, err := r.Redeclare(t.Context(), ada, "fay", []byte(`{"labels":{"environment":"prod"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decommission(t.Context(), ada, "fay"); err != nil {
		t.Fatal(err)
	}
	result, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: now})
	if err != nil || len(result.Clusters) != 0 {
		t.Errorf("a rollback touches a decommissioned cluster: %+v, %v", result, err)
	}
	r.wantState("fay", fleet.ClusterDecommissioned)
}
