package view_test

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/render"
)

// compile returns the release of a fleet repo with one input, and with a cluster file for each
// pair of a name and a dns.
func compile(t *testing.T, revision string, clusters ...string) *fleet.Compiled {
	t.Helper()
	tree := fstest.MapFS{
		"fleet.yaml": {Data: []byte(`apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs: [{name: apps, kind: App}]
  placement: [{selector: {}, overlay: base}]
`)},
		"base/kustomization.yaml": {Data: []byte("resources: [app.yaml]\n")},
		"base/app.yaml":           {Data: []byte("apiVersion: example.com/v1\nkind: App\nmetadata: {name: web}\nspec: {tag: " + revision + "}\n")},
	}
	for i := 0; i < len(clusters); i += 2 {
		name, dns := clusters[i], clusters[i+1]
		tree["clusters/"+name+".yaml"] = &fstest.MapFile{Data: []byte(
			"apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: " + name + "}\nspec: {dns: " + dns + "}\n")}
	}
	c, err := fleet.Compile(t.Context(), render.Renderer{}, &fleet.Snapshot{Revision: revision, Tree: tree}, "sha256:"+revision, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if problems := c.Repo.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// releases returns compiled releases by name.
func releases(all ...*fleet.Compiled) view.Releases {
	found := view.Releases{}
	for _, c := range all {
		found[c.Ref] = c
	}
	return found
}

// build returns the view of a log whose live release is live.
func build(t *testing.T, log fleet.LogState, live *fleet.Compiled, compiled view.Releases, others ...*view.View) *view.View {
	t.Helper()
	log.Live = &fleet.LiveRelease{ReleaseRef: live.Ref}
	v, problems, err := view.Build(t.Context(), fleet.NewState(&log), live, compiled, view.Options{}, others...)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	return v
}

// declared returns the record of a cluster that the API declares.
func declared(cluster, dns string) *fleet.ClusterRecord {
	return &fleet.ClusterRecord{Cluster: cluster, Declared: &fleet.Declaration{DNS: dns}}
}

// orphaned returns the assignment of an orphaned cluster.
func orphaned(cluster string, release *fleet.Compiled) *fleet.Assignment {
	return &fleet.Assignment{Cluster: cluster, Release: release.Ref, Reason: fleet.ReasonOrphaned}
}

func body(t *testing.T, v *view.View, cluster string) string {
	t.Helper()
	m, err := v.Member(cluster)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Body("apps")
	if err != nil {
		t.Fatal(err)
	}
	return string(b.JSON())
}

func TestBuildSharesMembersThatDoNotChange(t *testing.T) {
	t.Parallel()
	live := compile(t, "v1", "ann", "ann.example.com", "bob", "bob.example.com")
	first := build(t, fleet.LogState{Generation: 1}, live, releases(live))
	delta := &fleet.Delta{Cluster: "ann", Edits: []fleet.Edit{{Kind: "App", Name: "web", Patch: []byte(`{"spec":{"tag":"own"}}`)}}}
	second := build(t, fleet.LogState{Generation: 2, Deltas: []*fleet.Delta{delta}}, live, releases(live), first)
	if first.Named("bob") != second.Named("bob") {
		t.Error("bob is another member, although nothing changed for it")
	}
	if first.Named("ann") == second.Named("ann") || body(t, first, "ann") == body(t, second, "ann") {
		t.Error("ann is the same member, although its delta changed")
	}
}

func TestNextChangesOnlyTheNamedClusters(t *testing.T) {
	t.Parallel()
	live := compile(t, "v1", "ann", "ann.example.com", "bob", "bob.example.com", "cid", "cid.example.com")
	v := build(t, fleet.LogState{Generation: 1}, live, releases(live))
	delta := &fleet.Delta{Cluster: "bob", Edits: []fleet.Edit{{Kind: "App", Name: "web", Patch: []byte(`{"spec":{"tag":"own"}}`)}}}
	state := v.State().Apply(&fleet.Change{Generation: 2, Deltas: []fleet.DeltaChange{{Delta: delta.ID(), After: delta}}})
	next, problems, err := v.Next(t.Context(), state, v.Releases(), []string{"bob"})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	for _, name := range []string{"ann", "cid"} {
		if next.Named(name) != v.Named(name) {
			t.Errorf("%s is another member", name)
		}
	}
	const want = `{"inputs":[{"cluster":{"dns":"bob.example.com","environment":"","labels":{},"name":"bob"},"id":"web","tag":"own"}]}`
	if got := body(t, next, "bob"); got != want {
		t.Errorf("answer for bob = %s, want %s", got, want)
	}
	if next.Generation() != 2 || v.Generation() != 1 {
		t.Errorf("generations = %d and %d, want 2 and 1", next.Generation(), v.Generation())
	}
}

func TestNextAddsAndRemovesClusters(t *testing.T) {
	t.Parallel()
	live := compile(t, "v1", "bob", "bob.example.com")
	v := build(t, fleet.LogState{Generation: 1}, live, releases(live))
	added := v.State().Apply(&fleet.Change{Generation: 2, Records: []fleet.RecordChange{{Cluster: "ann", After: declared("ann", "ann.example.com")}}})
	next, _, err := v.Next(t.Context(), added, v.Releases(), []string{"ann"})
	if err != nil {
		t.Fatal(err)
	}
	body(t, next, "ann.example.com")
	body(t, next, "bob.example.com")
	last, _, err := next.Next(t.Context(), v.State(), next.Releases(), []string{"ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.Member("ann.example.com"); !errors.Is(err, fleet.ErrNotFound) {
		t.Errorf("Member of a removed cluster: error %v, want %v", err, fleet.ErrNotFound)
	}
	if len(last.Members()) != 1 || last.Named("bob") != v.Named("bob") {
		t.Errorf("members = %v, want only the same bob", last.Members())
	}
}

// A dns finds the cluster whose file has it, then the one that the API declares with it, and then
// one that is orphaned with it. A cluster with such a name comes before all of them.
func TestLookupByDNSPrefersFilesToDeclarationsToOrphans(t *testing.T) {
	t.Parallel()
	const dns = "shared.example.com"
	old := compile(t, "v1", "orphan", dns)
	for _, c := range []struct {
		name string
		live *fleet.Compiled
		log  fleet.LogState
		want string
	}{
		{"orphan alone", compile(t, "v2", "other", "other.example.com"), fleet.LogState{}, "orphan"},
		{"declaration", compile(t, "v2", "other", "other.example.com"), fleet.LogState{Records: []*fleet.ClusterRecord{declared("zoe", dns)}}, "zoe"},
		{"file", compile(t, "v2", "zora", dns), fleet.LogState{Records: []*fleet.ClusterRecord{declared("zoe", dns)}}, "zora"},
	} {
		c.log.Assignments = []*fleet.Assignment{orphaned("orphan", old)}
		v := build(t, c.log, c.live, releases(old, c.live))
		m, err := v.Member(dns)
		if err != nil || m.Cluster.Name != c.want {
			t.Errorf("%s: Member(%s) = %v, %v, want %s", c.name, dns, m, err, c.want)
		}
		if m := v.Named("orphan"); m == nil || m.Release() != old.Ref {
			t.Errorf("%s: orphan = %+v, want it on %s", c.name, m, old.Ref.Revision)
		}
	}
}
