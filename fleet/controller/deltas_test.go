package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

func TestDeltasApplyByPriorityThenNameAndOwnDeltasLast(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	for _, c := range []struct {
		name     string
		priority int
	}{{"z", -1}, {"b", 0}, {"a", 0}, {"first", -2}} {
		r.apply(fmt.Sprintf(`{name: %[1]s, priority: %[2]d, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: %[1]s, env: {%[1]s: x}}}}]}`, c.name, c.priority))
	}
	r.wantInput("ann", "web", `{"env":{"a":"x","b":"x","first":"x","z":"x"},"ports":[80,443],"replicas":2,"tag":"b"}`)
	r.patch("ann", "App/web", `{"spec": {"tag": "own"}}`)
	r.wantInput("ann", "web", `{"env":{"a":"x","b":"x","first":"x","z":"x"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	r.apply(`{name: b, priority: 7, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: later}}}]}`)
	r.wantInput("ann", "web", `{"env":{"a":"x","b":"2","first":"x","z":"x"},"ports":[80,443],"replicas":2,"tag":"own"}`)
	r.wantInput("bob", "web", `{"env":{"a":"x","b":"2","first":"x","z":"x"},"ports":[80,443],"replicas":2,"tag":"later"}`)
}

func TestEveryPartOfADeltaIsServedToItsClusters(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	result := r.apply(`
name: all
selector: {matchLabels: {environment: dev}}
components: [components/extra]
resources: [{apiVersion: example.com/v1, kind: App, metadata: {name: new}, spec: {tag: v7}}]
patches:
- target: {kind: App, name: new}
  patch: '[{"op": "add", "path": "/spec/replicas", "value": 4}]'
edits:
- {kind: App, name: new, patch: {spec: {tag: v8}}}
- {kind: App, name: extra, patch: {spec: {tag: v9}}}
- {kind: App, name: db, patch: null}
`)
	for _, cluster := range []string{"ann", "bob"} {
		r.wantInput(cluster, "new", `{"replicas":4,"tag":"v8"}`)
		r.wantInput(cluster, "extra", `{"tag":"v9"}`)
		r.wantInput(cluster, "db", "")
	}
	r.wantInput("cid", "new", "")
	r.wantInput("cid", "db", `{"replicas":1,"tag":"v1"}`)
	var got []string
	for _, c := range result.Changes {
		got = append(got, fmt.Sprintf("%s/%s/%s %t %t", c.Cluster, c.Set, c.ID, c.Before != nil, c.After != nil))
	}
	want := "ann/apps/db true false, ann/apps/extra false true, ann/apps/new false true, bob/apps/db true false, bob/apps/extra false true, bob/apps/new false true"
	if strings.Join(got, ", ") != want || strings.Join(result.Clusters, " ") != "ann bob" {
		t.Errorf("result = %v for %v, want %s", got, result.Clusters, want)
	}
	last := r.history()[len(r.history())-1]
	if last.Generation != result.Generation || last.Actor != "ada" || last.Reason != "because" || last.Kind != fleet.Written || strings.Join(last.Clusters, " ") != "ann bob" {
		t.Errorf("last change = %+v", last)
	}
}

func TestDeltaThatBreaksOneClusterIsRefusedForAll(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("bob", "App/web", `{"spec": {"replicas": 9}}`)
	r.patch("cid", "App/db", `{"spec": {"replicas": 5}}`)
	for document, broken := range map[string]string{
		`{name: x, selector: {}, edits: [{kind: App, name: web, patch: {spec: {replicas: 10}}}]}`:                                           "ann cid",
		`{name: x, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: 3}}}]}`:                                                 "ann bob cid",
		`{name: x, clusters: [ann, cid], edits: [{kind: App, name: nowhere, patch: {}}]}`:                                                   "ann cid",
		`{name: x, selector: {matchLabels: {environment: prod}}, components: [components/nowhere]}`:                                         "cid",
		`{name: x, selector: {matchLabels: {environment: dev}}, edits: [{kind: App, name: web, patch: null}]}`:                              "bob",
		`{name: x, selector: {}, resources: [{apiVersion: example.com/v1, kind: App, metadata: {name: db}, spec: {tag: v1}}]}`:              "ann bob cid",
		`{name: x, selector: {}, patches: [{patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: nowhere}, spec: {tag: x}}'}]}`: "ann bob cid",
	} {
		err := r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) { return r.PutDelta(t.Context(), ada, r.document(document)) })
		var problems fleet.Problems
		if !errors.As(err, &problems) {
			t.Fatalf("%s: error %v, want Problems", document, err)
		}
		found := map[string]bool{}
		var clusters []string
		for _, p := range problems {
			if p.Message == "" {
				t.Errorf("%s: problem without a message: %+v", document, p)
			}
			if !found[p.Cluster] {
				clusters = append(clusters, p.Cluster)
			}
			found[p.Cluster] = true
		}
		if got := strings.Join(clusters, " "); got != broken {
			t.Errorf("%s: invalid clusters = %q, want %q: %v", document, got, broken, err)
		}
	}
}

func TestWriteThatMakesAnotherDeltaStaleIsRefused(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(`{name: new, selector: {}, resources: [{apiVersion: example.com/v1, kind: App, metadata: {name: new}, spec: {tag: v1}}]}`)
	r.patch("bob", "App/new", `{"spec": {"tag": "v2"}}`)
	err := r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) { return r.DeleteDelta(t.Context(), ada, fleet.DeltaID("new")) })
	if !strings.Contains(err.Error(), `cluster "bob"`) || !strings.Contains(err.Error(), "cluster/bob") || strings.Contains(err.Error(), `"ann"`) {
		t.Errorf("error = %v, want it to name the own delta of bob", err)
	}
	r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) {
		return r.PutDelta(t.Context(), ada, r.document(`{name: gone, priority: 9, selector: {}, edits: [{kind: App, name: new, patch: null}]}`))
	})
	if _, err := r.DeleteObject(t.Context(), ada, "bob", objectNamed("App/new")); err != nil {
		t.Fatal(err)
	}
	r.apply(`{name: unrelated, selector: {}, edits: [{kind: App, name: web, patch: {spec: {tag: v3}}}]}`)
}

func TestStalePartsAreSkippedAndComeBack(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(`
name: mixed
selector: {matchLabels: {environment: dev}}
components: [components/extra]
patches:
- patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: db}, spec: {tag: patched, replicas: 7}}'
edits:
- {kind: App, name: db, patch: {spec: {replicas: 8}}}
- {kind: App, name: web, patch: {spec: {tag: edited}}}
`)
	r.patch("cid", "App/db", `{"spec": {"tag": "own"}}`)
	good := bodies(t, r.view())
	if got := r.metric("tributary_orphaned_parts"); got != 0 {
		t.Errorf("tributary_orphaned_parts = %v, want 0", got)
	}

	r.release("main@2", acme("base/kustomization.yaml", "resources: [web.yaml, front.yaml]\n"))
	for _, cluster := range []string{"ann", "bob"} {
		if got, want := r.staleParts(cluster), "delta/mixed:patches[0] delta/mixed:edits[0]"; got != want {
			t.Errorf("stale parts of %s = %s, want %s", cluster, got, want)
		}
		r.wantInput(cluster, "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"edited"}`)
		r.wantInput(cluster, "extra", `{"tag":"v1"}`)
	}
	if got, want := r.staleParts("cid"), "cluster/cid:edits[0]"; got != want {
		t.Errorf("stale parts of cid = %s, want %s", got, want)
	}
	if got := r.metric("tributary_orphaned_parts"); got != 5 {
		t.Errorf("tributary_orphaned_parts = %v, want 5", got)
	}
	usage := r.view().DeltaUsage()["delta/mixed"]
	if usage.Clusters != 2 || len(usage.Stale) != 2 {
		t.Errorf("usage = %+v, want 2 clusters, both with stale parts", usage)
	}
	// A part that is stale already does not prevent other writes.
	r.patch("cid", "App/web", `{"spec": {"tag": "v5"}}`)
	r.wantInput("cid", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"v5"}`)
	if _, err := r.DeleteObject(t.Context(), ada, "cid", objectNamed("App/nowhere")); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("DeleteObject = %v, want %v", err, fleet.ErrNotFound)
	}
	if got, want := r.staleParts("cid"), "cluster/cid:edits[0]"; got != want {
		t.Errorf("stale parts of cid = %s, want %s", got, want)
	}
	// A document with a stale part is refused.
	r.wantRefused(fleet.ErrInvalid, func() (*fleet.Result, error) {
		d, err := r.view().Delta(fleet.OwnID("cid"))
		if err != nil {
			return nil, err
		}
		more := *d
		more.Edits = append(slices.Clone(d.Edits), fleet.Edit{Kind: "App", Name: "web", Patch: []byte(`{"spec":{"tag":"v6"}}`)})
		return r.PutDelta(t.Context(), ada, &more)
	})

	r.release("main@3", acme())
	if got := r.staleParts("ann") + r.staleParts("bob") + r.staleParts("cid"); got != "" || r.metric("tributary_orphaned_parts") != 0 {
		t.Errorf("stale parts = %s after the base returned", got)
	}
	r.wantInput("cid", "db", `{"replicas":1,"tag":"own"}`)
	if _, err := r.Rollback(t.Context(), ada, controller.Rollback{Generation: 3}); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, r.view()); got != good {
		t.Errorf("served =\n%s\nwant the answers from before the base changed:\n%s", got, good)
	}
}

func TestPartThatIsInvalidOnANewBaseIsStale(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/web", `{"spec": {"replicas": 8, "tag": "v2"}}`)
	r.release("main@2", acme("schemas/app.json", `{"properties": {"replicas": {"maximum": 5}}}`))
	if got, want := r.staleParts("ann"), "cluster/ann:edits[0]"; got != want {
		t.Errorf("stale parts = %s, want %s", got, want)
	}
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"v1"}`)
}

func TestPatchIsMergedIntoAnEditThatTheBaseNeeds(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.patch("ann", "App/web", `{"spec": {"zone": "eu"}}`)
	r.patch("bob", "App/web", `{"spec": {"zone": "us"}}`)
	r.patch("cid", "App/web", `{"spec": {"zone": "ap"}}`)
	// From now on the base without deltas is invalid.
	r.release("main@2", acme("schemas/app.json", `{"if": {"required": ["env"]}, "then": {"required": ["zone"]}}`))
	r.patch("ann", "App/web", `{"spec": {"tag": "v2"}}`)
	r.wantInput("ann", "web", `{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"v2","zone":"eu"}`)
	r.patch("ann", "App/web", `{"spec": {"zone": "de", "env": {"a": null}}}`)
	r.wantInput("ann", "web", `{"env":{"b":"2"},"ports":[80,443],"replicas":2,"tag":"v2","zone":"de"}`)
}
