package controller_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// guarded is acme with what fleet.yaml says after `spec:`, and other files.
func guarded(spec string, files ...string) fstest.MapFS {
	tree := acme(files...)
	text := string(tree["fleet.yaml"].Data)
	start := strings.Index(text, "  guard:")
	if start < 0 {
		return tree // one of the files is fleet.yaml
	}
	end := strings.Index(text[start:], "\n") + start + 1
	tree["fleet.yaml"] = &fstest.MapFile{Data: []byte(text[:start] + spec + text[end:])}
	return tree
}

// startGuarded runs acme with a guard of its own, or waves.
func startGuarded(t *testing.T, spec string, mend ...func(*controller.Config)) *rig {
	t.Helper()
	s := newScript()
	s.put("main@1", guarded(spec))
	r := start(t, s, openStore(t, sqliteFile(t)), mend...)
	r.awaitRevision("main@1")
	return r
}

// on are the revisions that clusters are on, as ann=main@1 bob=main@2.
func (r *rig) on() string {
	var all []string
	for _, m := range r.view().Members() {
		all = append(all, m.Cluster.Name+"="+m.Release().Revision)
	}
	return strings.Join(all, " ")
}

func (r *rig) wantOn(want string) {
	r.t.Helper()
	if got := r.on(); got != want {
		r.t.Errorf("clusters are on %s, want %s", got, want)
	}
}

// propose moves the source and waits until its release is in a state.
func (r *rig) propose(revision string, tree fstest.MapFS, state fleet.ReleaseState) *fleet.Release {
	r.t.Helper()
	r.source.put(revision, tree)
	r.Look()
	r.await(revision+" to be "+string(state), func() bool { return r.stateOf(revision) == state })
	r.awaitLog()
	return r.releaseOf(revision)
}

// awaitLog waits until what the log says is served, which it is a moment after the log
// says it.
func (r *rig) awaitLog() {
	r.t.Helper()
	r.await("what the log says to be served", func() bool {
		generation, err := r.store.Generation(r.t.Context())
		v, unready := r.View()
		return err == nil && unready == nil && v.Generation() == generation
	})
}

// awaitLook waits until the fleet has done with what the source is at.
func (r *rig) awaitLook() {
	r.t.Helper()
	r.await("a look at the source", func() bool {
		r.Look()
		r.source.mu.Lock()
		defer r.source.mu.Unlock()
		return r.source.next.Revision == r.source.known
	})
	r.awaitLog()
}

func (r *rig) stateOf(revision string) fleet.ReleaseState {
	found, err := r.Release(r.t.Context(), revision)
	if err != nil {
		return ""
	}
	if found.State == fleet.RollingOut {
		return fleet.Live // as the API shows it
	}
	return found.State
}

func (r *rig) releaseOf(revision string) *fleet.Release {
	r.t.Helper()
	found, err := r.Release(r.t.Context(), revision)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func (r *rig) decide(verdict fleet.Verdict, revision, digest string) *fleet.Release {
	r.t.Helper()
	found, err := r.Decide(r.t.Context(), ada, verdict, revision, digest)
	if err != nil {
		r.t.Fatalf("%s %s: %v", verdict, revision, err)
	}
	return found
}

// restart ends the fleet and starts another on its store, at the same source.
func (r *rig) restart(mend ...func(*controller.Config)) *rig {
	r.t.Helper()
	r.stop()
	next := start(r.t, r.source, r.store, mend...)
	next.await("the restart", func() bool { _, err := next.View(); return err == nil })
	return next
}

const noDB = "resources: [web.yaml, front.yaml]\n"

func TestReleaseBeyondTheGuardIsHeldUntilItIsDecidedOn(t *testing.T) {
	t.Parallel()
	for rule, tree := range map[string]fstest.MapFS{
		"removedPerFleet":    guarded("", "base/kustomization.yaml", noDB),
		"allowVanishedSets":  guarded("", "fleet.yaml", strings.Replace(string(guarded("")["fleet.yaml"].Data), "name: deployments", "name: deploys", 1)),
		"allowEmptySets":     guarded("", "base/kustomization.yaml", "resources: [web.yaml, db.yaml]\n", "fleet.yaml", strings.Replace(string(guarded("")["fleet.yaml"].Data), "name: deployments", "name: deployments, allowEmpty: true", 1)),
		"failingClusters":    guarded("", "clusters/ann.yaml", "{", "clusters/bob.yaml", "{"),
		"allowOrphanedParts": guarded("", "base/web.yaml", app("web", "{tag: v1}")),
	} {
		t.Run(rule, func(t *testing.T) {
			r := startGuarded(t, "")
			if rule == "allowOrphanedParts" {
				r.apply(`{name: ports, clusters: [ann], patches: [{target: {kind: App, name: web}, patch: '[{"op": "test", "path": "/spec/ports/0", "value": 80}]'}]}`)
			}
			served := bodies(t, r.view())
			held := r.propose("main@2", tree, fleet.Held)
			if !hasRule(held.Violations, rule) {
				t.Errorf("violations = %v, want one of %s", held.Violations, rule)
			}
			if got := bodies(t, r.view()); got != served {
				t.Errorf("a held release changed what is served to\n%s", got)
			}
			r = r.restart()
			if got := bodies(t, r.view()); got != served || r.stateOf("main@2") != fleet.Held || r.Status().Held == nil {
				t.Errorf("after a restart the release is %s, and served is\n%s", r.stateOf("main@2"), got)
			}
			if got := r.decide(fleet.Approve, "main@2", held.Impact.Digest); got.State != fleet.Live || len(got.Decisions) != 1 {
				t.Errorf("approved, it is %+v", got)
			}
			r.awaitRevision("main@2")
			if r.stateOf("main@1") != fleet.Superseded || r.Status().Held != nil {
				t.Errorf("main@1 is %s, held is %v", r.stateOf("main@1"), r.Status().Held)
			}
		})
	}
}

func hasRule(violations []fleet.Violation, rule string) bool {
	for _, v := range violations {
		if v.Rule == rule {
			return true
		}
	}
	return false
}

func TestCommitCannotLoosenTheGuardThatItNeeds(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "  guard: {removedPerFleet: 0}\n")
	r.propose("main@2", acme("base/kustomization.yaml", noDB), fleet.Held)
	r.wantOn("ann=main@1 bob=main@1 cid=main@1")
}

func TestApprovalIsOfTheImpactThatWasSeen(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "  guard: {removedPerFleet: 2}\n")
	held := r.propose("main@2", guarded("", "base/kustomization.yaml", noDB), fleet.Held)
	if held.Impact.Removed != 3 || held.Impact.Clusters != 3 || len(held.Impact.Groups) != 1 {
		t.Errorf("impact = %+v, want db removed from three clusters", held.Impact)
	}
	r.apply(`{name: own, clusters: [cid], patches: [{patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: db}, $patch: delete}'}]}`)
	var guard *fleet.GuardError
	if _, err := r.Decide(t.Context(), ada, fleet.Approve, "main@2", held.Impact.Digest); !errors.As(err, &guard) || !errors.Is(err, fleet.ErrGuarded) {
		t.Fatalf("approval of what is not so any more: %v", err)
	}
	if r.wantOn("ann=main@1 bob=main@1 cid=main@1"); r.releaseOf("main@2").Impact.Digest != guard.Impact.Digest {
		t.Error("the release does not tell its new impact")
	}
	r.decide(fleet.Approve, "main@2", guard.Impact.Digest)
	r.wantOn("ann=main@2 bob=main@2 cid=main@2")
}

func TestRejectedReleaseStaysSo(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "  guard: {removedPerFleet: 0}\n")
	bad := guarded("", "base/kustomization.yaml", noDB)
	r.propose("main@2", bad, fleet.Held)
	r.decide(fleet.Reject, "main@2", "")
	r = r.restart()
	r.wantOn("ann=main@1 bob=main@1 cid=main@1")
	r.release("main@3", guarded("", "base/db.yaml", app("db", "{tag: v3}")))
	r.propose("main@2", bad, fleet.Rejected)
	r.wantOn("ann=main@3 bob=main@3 cid=main@3")
	r.propose("main@3", guarded("", "base/db.yaml", app("db", "{tag: v3}")), fleet.Live)
}

// own is the file of a cluster of dev that has a field of its own.
func own(name, field string) string {
	return strings.Replace(clusterFile(name, "dev"), "spec: {", "spec: {"+field+", ", 1)
}

// lost is one whose component is not there.
func lost(name string) string { return own(name, "components: [components/none]") }

func TestFaultStaysWithItsCluster(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	for what, files := range map[string][]string{
		"a file that is no YAML":        {"clusters/ann.yaml", "{"},
		"a file with a fault":           {"clusters/ann.yaml", clusterFile("ann", "dev") + "bogus: 1\n"},
		"a name that is there twice":    {"clusters/zzz.yaml", clusterFile("ann", "prod")},
		"an input that is not valid":    {"clusters/ann.yaml", own("ann", "patches: [{patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: web}, spec: {tag: 1}}'}]")},
		"a component that is not there": {"clusters/ann.yaml", lost("ann")},
	} {
		t.Run(what, func(t *testing.T) {
			r := startGuarded(t, open)
			files = append(files, "base/db.yaml", app("db", "{tag: v2}"))
			r.release("main@2", guarded(open, files...))
			r.wantOn("ann=main@1 bob=main@2 cid=main@2")
			if why := r.view().Why(r.member("ann")); why == "" {
				t.Error("nothing says why ann stays behind")
			}
			if failing := r.releaseOf("main@2").Failing; len(failing) != 1 || failing[0].Cluster != "ann" {
				t.Errorf("failing = %v, want ann", failing)
			}
			r.patch("ann", "App/db", `{"spec":{"replicas":7}}`)
			r = r.restart()
			r.wantOn("ann=main@1 bob=main@2 cid=main@2")
			r.release("main@3", guarded(open, files...))
			r.wantOn("ann=main@1 bob=main@3 cid=main@3")
			r.release("main@4", guarded(open))
			r.wantOn("ann=main@4 bob=main@4 cid=main@4")
			if why := r.view().Why(r.member("ann")); why != "" {
				t.Errorf("ann stays behind: %s", why)
			}
		})
	}
}

func TestNewClusterWithAFaultIsNotServedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/eve.yaml", lost("eve")))
	r.wantUnserved("eve")
	r = r.restart()
	r.wantUnserved("eve")
	r.release("main@3", guarded(open))
	if m, err := r.view().Member("eve"); err == nil {
		t.Errorf("eve is %s after its file was taken back", m.State)
	}
	r.release("main@4", guarded(open, "clusters/eve.yaml", clusterFile("eve", "dev")))
	r.wantOn("ann=main@4 bob=main@4 cid=main@4 eve=main@4")
}

func TestFaultOfFleetYAMLFails(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	r.propose("main@2", guarded("bogus: 1\n"), fleet.Failed)
	r = r.restart()
	r.wantOn("ann=main@1 bob=main@1 cid=main@1")
	r.await("the failure", func() bool { return r.Status().Failed != nil })
	if history := len(r.changes(fleet.ReleaseFailed)); history != 1 {
		t.Errorf("the log tells %d times of one failure", history)
	}
}

// changes are the entries of a kind, newest first.
func (r *rig) changes(kind fleet.ChangeKind) (found []fleet.Change) {
	r.t.Helper()
	all, err := r.store.Changes(r.t.Context(), fleet.ChangeQuery{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range all {
		if c.Kind == kind {
			found = append(found, c)
		}
	}
	return found
}

func TestWriteBeyondTheGuardIsConfirmed(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "  guard: {removedPerFleet: 1}\n")
	delta := r.document(`{name: nodb, selector: {}, patches: [{patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: db}, $patch: delete}'}]}`)
	generation := r.view().Generation()
	var guard *fleet.GuardError
	if _, err := r.PutDelta(t.Context(), ada, delta); !errors.As(err, &guard) || guard.Impact.Removed != 3 {
		t.Fatalf("PutDelta = %v, want a GuardError with three inputs removed", err)
	}
	wrong := ada
	wrong.Confirm = "sha256:0"
	if _, err := r.PutDelta(t.Context(), wrong, delta); !errors.Is(err, fleet.ErrGuarded) || r.view().Generation() != generation {
		t.Errorf("PutDelta with another digest = %v at generation %d", err, r.view().Generation())
	}
	right := ada
	right.Confirm = guard.Impact.Digest
	if _, err := r.PutDelta(t.Context(), right, delta); err != nil {
		t.Error(err)
	}
	if _, err := r.Decommission(t.Context(), ada, "ann"); err != nil {
		t.Errorf("to decommission is to confirm: %v", err)
	}
}

const inWaves = `  rollout:
    waves:
    - {name: canary, selector: {matchExpressions: [{key: environment, operator: In, values: [dev]}]}, soak: 10m, polled: 50}
`

// poll has a cluster poll all its sets.
func (r *rig) poll(now time.Time, clusters ...string) {
	for _, name := range clusters {
		for _, set := range r.view().Sets() {
			r.recordPoll(name, set, r.view().Generation(), "flux-operator/v0.58.1")
		}
	}
}

func (r *rig) advance() {
	r.t.Helper()
	if err := r.Advance(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func TestWaveIsThroughWhenItsClustersHavePolledThisVeryRelease(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, inWaves, at(c))
	r.poll(c.Now(), "ann", "bob", "cid")
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.wantOn("ann=main@2 bob=main@2 cid=main@1")
	c.forward(11 * time.Minute)
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@1") // nobody has polled it
	r.poll(c.Now(), "cid")
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@1") // who polled is of no wave that has it
	r = r.restart(at(c))
	r.poll(c.Now(), "ann")
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@2")
	if r.stateOf("main@1") != fleet.Superseded || r.releaseOf("main@2").Rollout != nil {
		t.Errorf("main@1 is %s, the rollout %+v", r.stateOf("main@1"), r.releaseOf("main@2").Rollout)
	}
}

func TestWaveSoaks(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, inWaves, at(c))
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.poll(c.Now(), "ann", "bob")
	c.forward(9 * time.Minute)
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@1")
	c.forward(2 * time.Minute)
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@2")
}

func TestRolloutIsSteered(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, strings.Replace(inWaves, "polled", "gate: manual, polled", 1), at(c))
	next := guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}"), "clusters/eve.yaml", clusterFile("eve", "prod"))
	r.propose("main@2", next, fleet.Live)
	r.wantOn("ann=main@2 bob=main@2 cid=main@1 eve=main@2") // who is new has nothing that could break
	if _, err := r.Decide(t.Context(), ada, fleet.Resume, "main@2", ""); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Resume of what goes on = %v, want %v", err, fleet.ErrConflict)
	}
	r.decide(fleet.Pause, "main@2", "")
	r.poll(c.Now(), "ann", "bob")
	c.forward(time.Hour)
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@1 eve=main@2")
	r = r.restart(at(c))
	if got := r.decide(fleet.Resume, "main@2", "").Rollout; got.Phase != fleet.Waiting {
		t.Errorf("resumed, it is %+v, want it to wait at the gate", got)
	}
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@1 eve=main@2")
	r.decide(fleet.Resume, "main@2", "")
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@2 eve=main@2")
}

func TestSkipNeedNotWait(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, inWaves)
	r.propose("main@2", guarded(inWaves, "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantOn("ann=main@2 bob=main@2 cid=main@2")
}

func TestAbortGivesWavesTheirPreviousRelease(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n" + inWaves
	r := startGuarded(t, open)
	// ann stays on main@1 while the fleet is on main@2.
	r.propose("main@2", guarded(open, "clusters/ann.yaml", "{", "base/db.yaml", app("db", "{tag: v2}")), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantOn("ann=main@1 bob=main@2 cid=main@2")
	served := bodies(t, r.view())
	r.propose("main@3", guarded(open, "base/db.yaml", app("db", "{tag: v3}"), "clusters/eve.yaml", clusterFile("eve", "dev")), fleet.Live)
	r.wantOn("ann=main@3 bob=main@3 cid=main@2 eve=main@3")
	r = r.restart()
	r.decide(fleet.Abort, "main@3", "")
	r.wantOn("ann=main@1 bob=main@2 cid=main@2 eve=main@3")
	r.wantState("eve", fleet.ClusterOrphaned)
	if got := bodies(t, r.view()); !strings.HasPrefix(got, served) {
		t.Errorf("after the abort\n%s\nwant\n%s", got, served)
	}
	r = r.restart()
	r.wantOn("ann=main@1 bob=main@2 cid=main@2 eve=main@3")
	if r.stateOf("main@3") != fleet.Rejected {
		t.Errorf("main@3 is %s", r.stateOf("main@3"))
	}
}

func TestNewerReleaseTakesOverAndLeavesWavesWhereTheyAre(t *testing.T) {
	t.Parallel()
	const three = `  rollout:
    waves:
    - {name: one, selector: {matchLabels: {environment: prod}}}
    - {name: two, selector: {matchLabels: {environment: test}}}
`
	bob := []string{"clusters/bob.yaml", clusterFile("bob", "test")}
	first := guarded(three, bob...)
	s := newScript()
	s.put("main@1", first)
	r := start(t, s, openStore(t, sqliteFile(t)))
	r.awaitRevision("main@1")
	change := func(n int) fstest.MapFS {
		return guarded(three, append(bob, "base/db.yaml", app("db", fmt.Sprintf("{tag: v%d}", n)))...)
	}
	r.propose("main@2", change(2), fleet.Live)
	r.decide(fleet.Skip, "main@2", "")
	r.advance()
	r.wantOn("ann=main@1 bob=main@2 cid=main@2")
	r.decide(fleet.Pause, "main@2", "")
	held := r.propose("main@3", change(3), fleet.Held)
	if !hasRule(held.Violations, "rollout") {
		t.Errorf("violations = %v, want the paused rollout", held.Violations)
	}
	r.decide(fleet.Approve, "main@3", "")
	r.wantOn("ann=main@1 bob=main@2 cid=main@3")
	if r.stateOf("main@2") != fleet.Superseded {
		t.Errorf("main@2 is %s", r.stateOf("main@2"))
	}
	r = r.restart()
	r.wantOn("ann=main@1 bob=main@2 cid=main@3")
	r.decide(fleet.Skip, "main@3", "")
	r.advance()
	r.wantOn("ann=main@1 bob=main@3 cid=main@3")
	r.decide(fleet.Abort, "main@3", "")
	r.wantOn("ann=main@1 bob=main@2 cid=main@2")
	r.propose("main@4", change(4), fleet.Live)
	r.wantOn("ann=main@1 bob=main@2 cid=main@4")
	r.source.put("main@1", first)
	r.Look()
	r.await("main@4 to be over", func() bool { return r.stateOf("main@4") == fleet.Superseded })
	r.awaitLog()
	r.wantOn("ann=main@1 bob=main@1 cid=main@1") // the source is at main@1
	r.propose("main@5", change(5), fleet.Live)
	for range 2 {
		r.decide(fleet.Skip, "main@5", "")
		r.advance()
	}
	r.wantOn("ann=main@5 bob=main@5 cid=main@5")
}

func TestPinKeepsClustersOnARelease(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := startGuarded(t, "", at(c))
	r.release("main@2", guarded("", "base/db.yaml", app("db", "{tag: v2}")))
	pin := func(p fleet.Pin) {
		t.Helper()
		if _, err := r.Pin(t.Context(), ada, p); err != nil {
			t.Fatal(err)
		}
	}
	dev := &fleet.Selector{MatchLabels: map[string]string{"environment": "dev"}}
	until := c.Now().Add(time.Hour)
	pin(fleet.Pin{Name: "incident", Scope: fleet.Scope{Selector: dev}, Release: r.releaseOf("main@1").ID, ExpiresAt: &until, Reason: "INC-1"})
	r.wantOn("ann=main@1 bob=main@1 cid=main@2")
	r.wantInput("ann", "db", `{"replicas":1,"tag":"v1"}`)
	if why := r.view().Why(r.member("ann")); !strings.Contains(why, "INC-1") {
		t.Errorf("Why(ann) = %q", why)
	}
	r.release("main@3", guarded("", "base/db.yaml", app("db", "{tag: v3}"), "clusters/eve.yaml", clusterFile("eve", "dev")))
	r.wantOn("ann=main@1 bob=main@1 cid=main@3 eve=main@1")
	pin(fleet.Pin{Name: "one", Scope: fleet.Scope{Clusters: []string{"bob"}}, Release: "main@2"})
	r.wantOn("ann=main@1 bob=main@2 cid=main@3 eve=main@1")
	r = r.restart(at(c))
	r.wantOn("ann=main@1 bob=main@2 cid=main@3 eve=main@1")
	c.forward(2 * time.Hour)
	r.patch("cid", "App/web", `{"spec":{"tag":"v9"}}`) // wakes who withdraws
	r.await("the end of the pin", func() bool { return len(r.view().Pins()) == 1 })
	r.wantOn("ann=main@3 bob=main@2 cid=main@3 eve=main@3")
	if _, err := r.Unpin(t.Context(), ada, "one"); err != nil {
		t.Fatal(err)
	}
	pin(fleet.Pin{Name: "all", Scope: fleet.Scope{Selector: &fleet.Selector{}}, Release: "main@1"})
	r.wantOn("ann=main@1 bob=main@1 cid=main@1 eve=main@1")
}

func TestGuardOfWhatClustersAreOnHoldsWhenTheyAreUnpinned(t *testing.T) {
	t.Parallel()
	const open = "  guard: {removedPerCluster: 100%, removedPerFleet: 100%}\n"
	r := startGuarded(t, "  guard: {removedPerFleet: 0}\n")
	if _, err := r.Pin(t.Context(), ada, fleet.Pin{Name: "all", Scope: fleet.Scope{Selector: &fleet.Selector{}}, Release: "main@1"}); err != nil {
		t.Fatal(err)
	}
	r.propose("main@2", guarded(open, "base/kustomization.yaml", noDB), fleet.Live) // of nobody, and so within the guard
	var guard *fleet.GuardError
	if _, err := r.Unpin(t.Context(), ada, "all"); !errors.As(err, &guard) {
		t.Fatalf("Unpin = %v, want a GuardError", err)
	}
	confirmed := ada
	confirmed.Confirm = guard.Impact.Digest
	if _, err := r.Unpin(t.Context(), confirmed, "all"); err != nil {
		t.Error(err)
	}
}

func TestClusterWhoseFileHasAFaultIsNotPurged(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/ann.yaml", clusterFile("ann", "dev")+"bogus: 1\n"))
	if _, err := r.Decommission(t.Context(), ada, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Purge(t.Context(), ada, "ann"); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("Purge = %v while the fleet repo declares it", err)
	}
}

func TestUnpinnedClusterThatTheLiveReleaseIsNotGoodForStays(t *testing.T) {
	t.Parallel()
	const open = "  guard: {failingClusters: 2}\n"
	r := startGuarded(t, open)
	if _, err := r.Pin(t.Context(), ada, fleet.Pin{Name: "p", Scope: fleet.Scope{Clusters: []string{"ann"}}, Release: "main@1"}); err != nil {
		t.Fatal(err)
	}
	r.release("main@2", guarded(open, "clusters/ann.yaml", lost("ann")))
	if _, err := r.Unpin(t.Context(), ada, "p"); err != nil {
		t.Fatal(err)
	}
	r.wantOn("ann=main@1 bob=main@2 cid=main@2")
}
