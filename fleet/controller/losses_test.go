package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// tenApps returns a guarded fleet of three clusters, each with so many of the apps app0 to app9, and with
// other files.
func tenApps(spec string, apps int, files ...string) fstest.MapFS {
	var names []string
	for i := range apps {
		names = append(names, fmt.Sprintf("app%d.yaml", i))
		files = append(files, fmt.Sprintf("base/app%d.yaml", i), app(fmt.Sprintf("app%d", i), "{tag: v1}"))
	}
	return guarded(spec, append(files, "base/kustomization.yaml", "resources: [front.yaml, "+strings.Join(names, ", ")+"]\n")...)
}

// The namespaces of this fleet are inputs too.
const withNamespaces = `apiVersion: tributary/v1alpha1
kind: Fleet
metadata: {name: acme}
spec:
  inputs:
  - {name: apps, kind: App}
  - {name: namespaces, kind: Namespace, fields: {labels: metadata.labels}, defaults: {labels: {}}}
  placement: [{selector: {}, overlay: base}]
`

func namespace(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", name)
}

// prod returns a fleet of twelve apps and three namespaces, or what a commit titled "Refactor prod overlay"
// leaves of it: two apps and a namespace fewer on every cluster, which is less than each share.
func prod(refactored bool) fstest.MapFS {
	var names []string
	files := []string{"fleet.yaml", withNamespaces}
	for i := range 12 {
		if refactored && i < 2 {
			continue
		}
		names = append(names, fmt.Sprintf("app%d.yaml", i))
		files = append(files, fmt.Sprintf("base/app%d.yaml", i), app(fmt.Sprintf("app%d", i), "{tag: v1}"))
	}
	for i := range 3 {
		if refactored && i == 0 {
			continue
		}
		names = append(names, fmt.Sprintf("ns%d.yaml", i))
		files = append(files, fmt.Sprintf("base/ns%d.yaml", i), namespace(fmt.Sprintf("ns%d", i)))
	}
	return acme(append(files, "base/kustomization.yaml", "resources: ["+strings.Join(names, ", ")+"]\n")...)
}

func TestReleaseThatRemovesComponentsEverywhereIsHeld(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.put("main@1", prod(false))
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	held := r.propose("main@2", prod(true), fleet.Held)
	want := "removedEverywhere: apps/app0 would vanish from 3 of 3 clusters that have it (25% allowed), and the same rule stops 2 more inputs\n" +
		"protected: cluster \"ann\": would lose namespaces/ns0 (Namespace ns0), which the guard protects, and the same rule stops 2 more clusters\n"
	got := ""
	for _, v := range held.Violations {
		got += v.Rule + ": " + v.Message + "\n"
	}
	if got != want {
		t.Errorf("violations =\n%swant\n%s", got, want)
	}
}

// Removals add up: as many small commits are held as one commit of their sum would be.
func TestSmallReleasesThatAddUpAreHeld(t *testing.T) {
	t.Parallel()
	const spec = "  guard: {removedEverywhere: 100%}\n"
	c := newClock()
	s := newSource()
	s.put("main@10", tenApps(spec, 10))
	r := start(t, s, openStore(t, sqliteFile(t)), withClock(c))
	r.awaitRevision("main@10")
	propose := func(apps int, want fleet.ReleaseState) *fleet.Release {
		t.Helper()
		c.forward(5 * time.Second)
		return r.propose(fmt.Sprintf("main@%d", apps), tenApps(spec, apps), want)
	}
	// 20 % of 33 inputs are 7, so that one commit may remove two apps of three clusters, and not three.
	propose(9, fleet.Live)
	propose(8, fleet.Live)
	held := propose(7, fleet.Held)
	if want := "the fleet would lose 9 of 33 inputs (20% allowed), with 6 lost earlier, within the last 24h"; len(held.Violations) != 1 || held.Violations[0].Message != want {
		t.Errorf("violations = %v, want %q", held.Violations, want)
	}
	r = r.restart(withClock(c))
	propose(6, fleet.Held)

	// What was approved does not count again; what was not still does.
	r.decide(fleet.Approve, "main@6", "")
	propose(5, fleet.Held)
	// An input that is served again is no longer lost.
	propose(10, fleet.Live)
	propose(8, fleet.Live)
	propose(7, fleet.Held)
	c.forward(24 * time.Hour)
	propose(6, fleet.Live)
}

func TestEightDeletedObjectsAreRefusedAsOneWriteWouldBe(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.put("main@1", tenApps("  guard: {removedPerFleet: 100%}\n", 10))
	url := sqliteFile(t)
	r := start(t, s, openStore(t, url))
	r.awaitRevision("main@1")
	other := start(t, newSource(), openStore(t, url), func(cfg *controller.Config) { cfg.Source = nil })
	other.await("the release", func() bool { _, err := other.View(); return err == nil })
	remove := func(r *rig, app int, confirm string) (*fleet.Result, error) {
		o := ada
		o.Confirm = confirm
		return r.DeleteObject(t.Context(), o, "ann", objectNamed(fmt.Sprintf("App/app%d", app)))
	}
	// Half of the eleven inputs of a cluster, rounded up, are six.
	for i := range 6 {
		result, err := remove([]*rig{r, other}[i%2], i, "")
		if err != nil || result.Removed != 1 {
			t.Fatalf("DeleteObject of app%d = %+v, %v, want one input removed", i, result, err)
		}
	}
	for i := 6; i < 8; i++ {
		for _, server := range []*rig{r, other} {
			if _, err := remove(server, i, ""); !errors.Is(err, fleet.ErrGuarded) || !strings.Contains(err.Error(), "would lose 7 of 11 inputs (50% allowed), with 6 lost earlier") {
				t.Errorf("DeleteObject of app%d = %v, want %v", i, err, fleet.ErrGuarded)
			}
		}
	}
	// A confirmed write does not count again.
	i := r.wantGuarded(func(digest string) error {
		_, err := remove(r, 6, digest)
		return err
	}, "removedPerCluster")
	if _, err := remove(r, 6, i.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := remove(r, 7, ""); err == nil || !strings.Contains(err.Error(), "would lose 7 of 10 inputs (50% allowed), with 6 lost earlier") {
		t.Errorf("DeleteObject after a confirmed one = %v, want the six before to count, and not the confirmed one", err)
	}
	// Another cluster has lost nothing yet, but two of three would have lost this app.
	if _, err := r.DeleteObject(t.Context(), ada, "bob", objectNamed("App/app0")); err == nil || !strings.Contains(err.Error(), "apps/app0 would vanish from 2 of 3 clusters that have it") {
		t.Errorf("DeleteObject of another cluster = %v", err)
	}
}

func TestNothingAddsUpWithoutAWindow(t *testing.T) {
	t.Parallel()
	const spec = "  guard: {removedEverywhere: 100%, window: 0}\n"
	s := newSource()
	s.put("main@10", tenApps(spec, 10))
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@10")
	for apps := 9; apps > 6; apps-- {
		r.propose(fmt.Sprintf("main@%d", apps), tenApps(spec, apps), fleet.Live)
	}
}

func TestWriteThatRemovesAProtectedObjectNeedsConfirmation(t *testing.T) {
	t.Parallel()
	s := newSource()
	s.put("main@1", prod(false))
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	remove := func(digest string) error {
		o := ada
		o.Confirm = digest
		_, err := r.DeleteObject(t.Context(), o, "ann", objectNamed("Namespace/ns1"))
		return err
	}
	i := r.wantGuarded(remove, "protected")
	if err := remove(i.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decommission(t.Context(), ada, "bob"); err != nil {
		t.Errorf("Decommission = %v: to decommission a cluster is to confirm it", err)
	}
}

func TestClusterFilesThatVanishAreHeld(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	without := func(names ...string) fstest.MapFS {
		tree := guarded("")
		for _, name := range names {
			delete(tree, "clusters/"+name+".yaml")
		}
		return tree
	}
	held := r.propose("main@2", without("ann", "bob"), fleet.Held)
	if want := "the files of 2 of 3 clusters would vanish (10% allowed): ann, bob"; len(held.Violations) != 1 || held.Violations[0].Message != want {
		t.Errorf("violations = %v, want %q", held.Violations, want)
	}
	r.propose("main@3", without("ann"), fleet.Live)
	held = r.propose("main@4", without("ann", "bob"), fleet.Held)
	if want := "the files of 2 of 3 clusters would vanish (10% allowed), with 1 lost earlier, within the last 24h: bob"; len(held.Violations) != 1 || held.Violations[0].Message != want {
		t.Errorf("violations = %v, want %q", held.Violations, want)
	}
}

func TestAbortThatRemovesTooMuchNeedsConfirmation(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, inWaves)
	r.propose("main@2", guarded(inWaves, addedObjects()...), fleet.Live)
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@1")
	abort := func(digest string) error {
		_, err := r.Decide(t.Context(), ada, fleet.Abort, "main@2", digest)
		return err
	}
	i := r.wantGuarded(abort, "removedPerFleet", "removedEverywhere")
	if i.Removed != 4 {
		t.Errorf("impact = %+v, want the four inputs that the first wave got", i)
	}
	if err := abort(i.Digest); err != nil {
		t.Fatal(err)
	}
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@1")
}

func TestUnpinThatRemovesTooMuchNeedsConfirmation(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	r.pin(fleet.Pin{Name: "all", Scope: fleet.Scope{Clusters: []string{"ann", "bob"}}, Release: "main@1"})
	r.propose("main@2", guarded("", "base/kustomization.yaml", noDB), fleet.Live) // one cluster loses db
	i := r.wantGuarded(func(digest string) error {
		o := ada
		o.Confirm = digest
		_, err := r.Unpin(t.Context(), o, "all")
		return err
	}, "removedPerFleet", "removedEverywhere")
	o := ada
	o.Confirm = i.Digest
	if _, err := r.Unpin(t.Context(), o, "all"); err != nil {
		t.Fatal(err)
	}
}

func TestExpiryBeyondTheGuardStaysInForceAsOverdue(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newSource()
	s.put("main@1", prod(false))
	r := start(t, s, openStore(t, sqliteFile(t)), withClock(c))
	r.awaitRevision("main@1")
	r.apply(expiring(c.Now(), time.Hour, `name: space, clusters: [ann], resources: [{apiVersion: v1, kind: Namespace, metadata: {name: extra}}]`))
	r.pin(fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"bob", "cid"}}, Release: "main@1", ExpiresAt: new(c.Now().Add(time.Hour))})
	held := r.propose("main@2", prod(true), fleet.Held)
	r.decide(fleet.Approve, "main@2", held.Impact.Digest)
	c.forward(time.Hour)
	r.patch("ann", "App/app5", `{"spec": {"tag": "v2"}}`) // makes the controller look at the clock
	r.await("the notice", func() bool { return len(r.Status().Overdue) == 2 })
	for of, want := range map[string]string{"delta/space": "would lose namespaces/extra (Namespace extra), which the guard protects", "pin/old": "apps/app0 would vanish from 2 of 2 clusters"} {
		if why := r.Status().Overdue[of]; !strings.Contains(why, want) {
			t.Errorf("Overdue[%s] = %q, want %q in it", of, why, want)
		}
	}
	r.wantInput("ann", "extra", `{"labels":{}}`)
	r.wantInput("bob", "app0", `{"tag":"v1"}`)
	// Somebody confirms it.
	remove := func(digest string) error {
		o := ada
		o.Confirm = digest
		_, err := r.DeleteDelta(t.Context(), o, "delta/space")
		return err
	}
	if err := remove(r.wantGuarded(remove, "protected").Digest); err != nil {
		t.Fatal(err)
	}
	r.await("the end of the notice", func() bool { return len(r.Status().Overdue) == 1 })
}

// A commit that names the impact that it has in a trailer needs no other approval.
func TestCommitApprovesItsOwnImpact(t *testing.T) {
	t.Parallel()
	const spec = "  guard: {approveByTrailer: true}\n"
	r := startGuarded(t, spec)
	less := guarded(spec, "base/kustomization.yaml", noDB)
	preview, err := r.Preview(t.Context(), &fleet.Snapshot{Revision: "a branch", Tree: less})
	if err != nil || preview.Outcome != fleet.OutcomeHeld {
		t.Fatalf("Preview = %+v, %v, want it held", preview, err)
	}
	digest := preview.Impact.Digest
	commit := func(digest string) *fleet.Commit {
		return &fleet.Commit{Author: "Ada <ada@example.com>", Subject: "Drop db", Approves: []string{digest}}
	}
	r.source.commit = commit("sha256:" + strings.Repeat("0", 64))
	held := r.propose("main@2", less, fleet.Held) // the impact is another one
	if held.Impact.Digest != digest || held.Commit == nil || held.Commit.Subject != "Drop db" {
		t.Errorf("release = %+v, want the digest of the preview, and its commit", held)
	}
	r.source.commit = commit(digest)
	live := r.propose("main@3", less, fleet.Live)
	r.wantRevisions("ann=main@3 bob=main@3 cid=main@3")
	if len(live.Decisions) != 1 || live.Decisions[0].Verdict != fleet.Approve || live.Decisions[0].Impact != digest || !strings.Contains(live.Decisions[0].Reason, "Ada") {
		t.Errorf("decisions = %+v, want the approval by the commit", live.Decisions)
	}
	if n := len(r.view().State().Losses); n != 0 {
		t.Errorf("%d losses count, although they were approved", n)
	}
	// The trailer approves no other impact.
	r.propose("main@4", guarded(spec, "base/kustomization.yaml", "resources: [db.yaml, front.yaml]\n"), fleet.Held)
}

func TestTrailerCountsOnlyIfTheLiveReleaseSaysSo(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	less := guarded("  guard: {approveByTrailer: true}\n", "base/kustomization.yaml", noDB)
	preview, err := r.Preview(t.Context(), &fleet.Snapshot{Revision: "a branch", Tree: less})
	if err != nil {
		t.Fatal(err)
	}
	r.source.commit = &fleet.Commit{Approves: []string{preview.Impact.Digest}}
	r.propose("main@2", less, fleet.Held)
}

// The log has what counts, so that a server that starts later weighs the same.
func TestLossesAreInTheLogUntilTheWindowEnds(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newSource()
	s.put("main@1", tenApps("  guard: {window: 2h}\n", 10))
	r := start(t, s, openStore(t, sqliteFile(t)), withClock(c))
	r.awaitRevision("main@1")
	if _, err := r.DeleteObject(t.Context(), ada, "ann", objectNamed("App/app0")); err != nil {
		t.Fatal(err)
	}
	want := []*fleet.Losses{{Until: c.Now().Add(2 * time.Hour), Groups: []fleet.LossGroup{{Clusters: []string{"ann"}, Inputs: []fleet.InputRef{{Set: "apps", ID: "app0"}}}}}}
	if got := r.view().State().Losses; string(fleet.EncodeJSON(got)) != string(fleet.EncodeJSON(want)) {
		t.Errorf("losses = %s, want %s", fleet.EncodeJSON(got), fleet.EncodeJSON(want))
	}
	r = r.restart(withClock(c))
	if got := r.view().State().Losses; string(fleet.EncodeJSON(got)) != string(fleet.EncodeJSON(want)) {
		t.Errorf("losses after a restart = %s, want %s", fleet.EncodeJSON(got), fleet.EncodeJSON(want))
	}
	c.forward(2 * time.Hour)
	r.patch("bob", "App/app0", `{"spec": {"tag": "v2"}}`)
	if got := r.view().State().Losses; len(got) != 0 {
		t.Errorf("losses after the window = %s, want none", fleet.EncodeJSON(got))
	}
	if !slices.ContainsFunc(r.history(), func(c fleet.Change) bool { return c.Kind == fleet.Written }) {
		t.Error("the history has no write")
	}
}

// What expires at one time is withdrawn one after the other, and adds up.
func TestDeltasThatExpireTogetherAddUp(t *testing.T) {
	t.Parallel()
	c := newClock()
	s := newSource()
	s.put("main@1", tenApps("  guard: {removedEverywhere: 100%}\n", 10))
	r := start(t, s, openStore(t, sqliteFile(t)), withClock(c))
	r.awaitRevision("main@1")
	for _, cluster := range []string{"ann", "bob", "cid"} { // 45 inputs, of which 9 may go
		var resources []string
		for i := range 4 {
			resources = append(resources, fmt.Sprintf("{apiVersion: example.com/v1, kind: App, metadata: {name: more%d}, spec: {tag: v1}}", i))
		}
		r.apply(expiring(c.Now(), time.Hour, fmt.Sprintf("name: of-%s, clusters: [%s], resources: [%s]", cluster, cluster, strings.Join(resources, ", "))))
	}
	c.forward(time.Hour)
	r.patch("ann", "App/app5", `{"spec": {"tag": "v2"}}`) // makes the controller look at the clock
	r.await("the notice", func() bool { return len(r.Status().Overdue) == 1 })
	for _, why := range r.Status().Overdue {
		if want := "the fleet would lose 12 of 45 inputs (20% allowed), with 8 lost earlier"; !strings.Contains(why, want) {
			t.Errorf("the third is overdue because %q, want %q", why, want)
		}
	}
}

// A confirmation is for one impact: it does not count once another change made the write remove more.
func TestConfirmationOfAWriteDoesNotCountForAnotherImpact(t *testing.T) {
	t.Parallel()
	const extra = `resources: [{apiVersion: v1, kind: Namespace, metadata: {name: extra}}]`
	s := newSource()
	s.put("main@1", prod(false))
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	r.apply(`{name: space, clusters: [ann], ` + extra + `}`)
	remove := func(digest string) error {
		o := ada
		o.Confirm = digest
		_, err := r.DeleteDelta(t.Context(), o, "delta/space")
		return err
	}
	seen := r.wantGuarded(remove, "protected")
	r.apply(`{name: space, clusters: [ann, bob], ` + extra + `}`)
	if err := remove(seen.Digest); !errors.Is(err, fleet.ErrGuarded) {
		t.Errorf("the write with the confirmation of another impact = %v, want %v", err, fleet.ErrGuarded)
	}
	if err := remove(r.wantGuarded(remove, "removedEverywhere", "protected").Digest); err != nil {
		t.Fatal(err)
	}
}

// A commit that is reverted and applied again approves its own impact again, which is the same, but not
// once more clusters have what it removes.
func TestTrailerOfACommitThatIsAppliedAgain(t *testing.T) {
	t.Parallel()
	const spec = "  guard: {approveByTrailer: true}\n"
	r := startGuarded(t, spec)
	less := guarded(spec, "base/kustomization.yaml", noDB)
	digest := r.propose("main@2", less, fleet.Held).Impact.Digest
	r.source.commit = &fleet.Commit{Approves: []string{digest}}
	r.propose("main@3", less, fleet.Live)
	r.source.commit = nil
	r.propose("main@4", guarded(spec), fleet.Live)
	r.source.commit = &fleet.Commit{Approves: []string{digest}}
	if live := r.propose("main@5", less, fleet.Live); len(live.Decisions) != 1 {
		t.Errorf("decisions = %v, want the approval by the commit", live.Decisions)
	}
	r.source.commit = nil
	more := []string{"clusters/dan.yaml", clusterFile("dan", "dev")}
	r.propose("main@6", guarded(spec, more...), fleet.Live)
	r.source.commit = &fleet.Commit{Approves: []string{digest}}
	r.propose("main@7", guarded(spec, append(more, "base/kustomization.yaml", noDB)...), fleet.Held)
}

// An input that one cluster loses is not removed everywhere, however small the fleet.
func TestInputsThatVanishEverywhereInSmallFleets(t *testing.T) {
	t.Parallel()
	const spec = "  guard: {removedPerCluster: 100%, removedPerFleet: 100%}\n"
	of := func(clusters int, files ...string) fstest.MapFS {
		tree := guarded(spec, files...)
		for _, name := range []string{"ann", "bob", "cid"}[clusters:] {
			delete(tree, "clusters/"+name+".yaml")
		}
		return tree
	}
	otherSet := strings.Replace(string(guarded(spec)["fleet.yaml"].Data), "  inputs:\n", "  inputs:\n  - {name: small, kind: Small, schema: schemas/app.json}\n", 1)
	for name, files := range map[string][]string{
		"removed":              {"base/kustomization.yaml", noDB},
		"given another id":     {"base/db.yaml", app("database", "{tag: v1, replicas: 1}")},
		"moved to another set": {"fleet.yaml", otherSet, "base/db.yaml", strings.Replace(app("db", "{tag: v1}"), "kind: App", "kind: Small", 1)},
	} {
		for clusters := 1; clusters <= 3; clusters++ {
			t.Run(fmt.Sprintf("%s, %d clusters", name, clusters), func(t *testing.T) {
				t.Parallel()
				s := newSource()
				s.put("main@1", of(clusters))
				r := start(t, s, openStore(t, sqliteFile(t)))
				r.awaitRevision("main@1")
				if clusters == 1 {
					r.propose("main@2", of(clusters, files...), fleet.Live)
					return
				}
				held := r.propose("main@2", of(clusters, files...), fleet.Held)
				want := fmt.Sprintf("apps/db would vanish from %d of %d clusters that have it (25%% allowed)", clusters, clusters)
				if len(held.Violations) != 1 || held.Violations[0].Message != want {
					t.Errorf("violations = %v, want %q", held.Violations, want)
				}
			})
		}
	}
}
