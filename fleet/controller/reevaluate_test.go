package controller_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// forFront is a delta whose patch selects a deployment that the next release removes.
const forFront = `{cluster: %s, patches: [{target: {kind: Deployment, name: front}, patch: '[{"op": "add", "path": "/spec/paused", "value": true}]'}]}`

// A release that is evaluated again after writes equals one that is evaluated from scratch after them.
func TestReleaseReevaluatedAfterWritesEqualsAFreshEvaluation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		write func(r *rig)
		files map[string]string
		gone  []string
	}{
		{"nothing", func(*rig) {}, nil, nil},
		{"a patch", func(r *rig) { r.patch("ann", "App/web", `{"spec": {"replicas": 5}}`) }, nil, nil},
		{"patches of two clusters", func(r *rig) {
			r.patch("ann", "App/web", `{"spec": {"replicas": 5}}`)
			r.patch("cid", "App/db", `{"spec": {"tag": "v7"}}`)
		}, nil, nil},
		{"a deleted delta", func(r *rig) {
			if _, err := r.DeleteDelta(t.Context(), ada, fleet.OwnID("bob")); err != nil {
				t.Fatal(err)
			}
		}, nil, nil},
		{"a patch of an object that the release removes", func(r *rig) { r.patch("cid", "Deployment/front", `{"spec": {"paused": true}}`) }, nil, nil},
		{"a patch that is invalid in the release", func(r *rig) { r.patch("ann", "App/web", `{"spec": {"replicas": 9}}`) }, nil, nil},
		{"a patch that selects nothing in the release", func(r *rig) { r.apply(fmt.Sprintf(forFront, "ann")) }, nil, nil},
		{"a deleted patch that selected nothing", func(r *rig) { r.apply(`{cluster: cid, edits: [{kind: App, name: web, patch: {spec: {tag: v9}}}]}`) }, nil, nil},
		{"a delta of a group", func(r *rig) {
			r.apply(`{name: dev, selector: {matchLabels: {environment: dev}}, components: [components/extra]}`)
		}, nil, nil},
		{"a patch and a removed file", func(r *rig) { r.patch("ann", "App/web", `{"spec": {"replicas": 5}}`) }, nil, []string{"clusters/cid.yaml"}},
		{"a patch and an added file", func(r *rig) { r.patch("ann", "App/web", `{"spec": {"replicas": 5}}`) }, map[string]string{"clusters/dan.yaml": clusterFile("dan", "dev")}, nil},
		{"a deleted delta without which inputs differ in their fields", func(r *rig) {
			if _, err := r.DeleteDelta(t.Context(), ada, fleet.OwnID("bob")); err != nil {
				t.Fatal(err)
			}
		}, map[string]string{"base/db.yaml": app("db", `{tag: v1, more: 1}`)}, nil},
		{"a cluster", func(r *rig) { r.declare(`{name: dan, labels: {environment: dev}}`) }, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startAcme(t)
			r.patch("bob", "App/db", `{"spec": {"replicas": 3}}`)
			r.apply(fmt.Sprintf(forFront, "cid"))
			tree := acme("base/web.yaml", app("web", `{tag: v2, replicas: 2}`), "schemas/app.json",
				`{"type": "object", "required": ["tag"], "properties": {"tag": {"type": "string"}, "replicas": {"type": "integer", "maximum": 8}}}`)
			tree["base/front.yaml"] = &fstest.MapFile{Data: bytes.ReplaceAll(tree["base/front.yaml"].Data, []byte("name: front"), []byte("name: side"))}
			for path, content := range c.files {
				tree[path] = &fstest.MapFile{Data: []byte(content)}
			}
			for _, path := range c.gone {
				delete(tree, path)
			}
			reused, fresh, err := r.Reevaluate(t.Context(), &fleet.Snapshot{Revision: "main@2", Tree: tree}, func() { c.write(r) })
			if err != nil {
				t.Fatal(err)
			}
			sameCandidates(t, reused, fresh)
		})
	}
}

func sameCandidates(t *testing.T, got, want *controller.Candidate) {
	t.Helper()
	if !reflect.DeepEqual(got.Impact, want.Impact) {
		t.Errorf("impact = %+v, want %+v", got.Impact, want.Impact)
	}
	if !reflect.DeepEqual(got.Problems, want.Problems) {
		t.Errorf("problems = %v, want %v", got.Problems, want.Problems)
	}
	if !reflect.DeepEqual(got.Violations, want.Violations) || !reflect.DeepEqual(got.Change.Assignments, want.Change.Assignments) || !reflect.DeepEqual(got.Deltas, want.Deltas) {
		t.Errorf("violations, assignments, deltas = %v, %+v, %v, want %v, %+v, %v", got.Violations, got.Change.Assignments, got.Deltas, want.Violations, want.Change.Assignments, want.Deltas)
	}
	if len(got.View.Members()) != len(want.View.Members()) {
		t.Fatalf("%d members, want %d", len(got.View.Members()), len(want.View.Members()))
	}
	for i, m := range got.View.Members() {
		other := want.View.Members()[i]
		if !reflect.DeepEqual(m.Stale, other.Stale) {
			t.Errorf("stale parts of %s = %v, want %v", m.Cluster.Name, m.Stale, other.Stale)
		}
		for _, set := range want.View.Sets() {
			a, _ := m.Body(set)
			b, _ := other.Body(set)
			if a == nil || b == nil || !bytes.Equal(a.JSON(), b.JSON()) {
				t.Errorf("%s of %s differ", set, m.Cluster.Name)
			}
		}
	}
}
