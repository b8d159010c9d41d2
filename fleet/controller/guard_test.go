package controller_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// guarded returns acme with spec in place of the guard in fleet.yaml, and with other files.
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

// startGuarded runs acme with a guard or waves of its own.
func startGuarded(t *testing.T, spec string, configure ...func(*controller.Config)) *rig {
	t.Helper()
	s := newSource()
	s.put("main@1", guarded(spec))
	r := start(t, s, openStore(t, sqliteFile(t)), configure...)
	r.awaitRevision("main@1")
	return r
}

const noDB = "resources: [web.yaml, front.yaml]\n"

func TestReleaseBeyondTheGuardIsHeldUntilApproved(t *testing.T) {
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
				t.Errorf("violations = %v, want rule %s", held.Violations, rule)
			}
			if got := bodies(t, r.view()); got != served {
				t.Errorf("served with a held release =\n%s\nwant no change", got)
			}
			r = r.restart()
			if got := bodies(t, r.view()); got != served || r.stateOf("main@2") != fleet.Held || r.Status().Held == nil {
				t.Errorf("release after a restart is %s, served =\n%s", r.stateOf("main@2"), got)
			}
			if got := r.decide(fleet.Approve, "main@2", held.Impact.Digest); got.State != fleet.Live || len(got.Decisions) != 1 {
				t.Errorf("approved release = %+v", got)
			}
			r.awaitRevision("main@2")
			if r.stateOf("main@1") != fleet.Superseded || r.Status().Held != nil {
				t.Errorf("main@1 is %s, held = %v", r.stateOf("main@1"), r.Status().Held)
			}
		})
	}
}

// wantGuarded checks that a write or decision exceeds some rules of the guard, is refused without the
// digest of its impact and with another one, and changes nothing then. It returns the impact.
func (r *rig) wantGuarded(do func(digest string) error, rules ...string) *fleet.Impact {
	r.t.Helper()
	before := r.everything()
	var refused *fleet.GuardError
	for _, digest := range []string{"", "sha256:0"} {
		if err := do(digest); !errors.As(err, &refused) || !errors.Is(err, fleet.ErrGuarded) {
			r.t.Fatalf("with the digest %q: error %v, want a GuardError", digest, err)
		}
	}
	var found []string
	for _, v := range refused.Violations {
		found = append(found, v.Rule)
	}
	if !slices.Equal(found, rules) {
		r.t.Errorf("violations = %v, want the rules %v", refused.Violations, rules)
	}
	if r.everything() != before {
		r.t.Error("what was refused changed something")
	}
	return refused.Impact
}

func hasRule(violations []fleet.Violation, rule string) bool {
	for _, v := range violations {
		if v.Rule == rule {
			return true
		}
	}
	return false
}

func TestReleaseCannotLoosenTheGuardThatItExceeds(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "  guard: {removedPerFleet: 0}\n")
	r.propose("main@2", acme("base/kustomization.yaml", noDB), fleet.Held)
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@1")
}

func TestApprovalAppliesToTheReviewedImpactOnly(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "  guard: {removedPerFleet: 2}\n")
	held := r.propose("main@2", guarded("", "base/kustomization.yaml", noDB), fleet.Held)
	if held.Impact.Removed != 3 || held.Impact.Clusters != 3 || len(held.Impact.Groups) != 1 {
		t.Errorf("impact = %+v, want db removed from three clusters", held.Impact)
	}
	r.apply(`{name: own, clusters: [cid], patches: [{patch: '{apiVersion: example.com/v1, kind: App, metadata: {name: db}, $patch: delete}'}]}`)
	var guard *fleet.GuardError
	if _, err := r.Decide(t.Context(), ada, fleet.Approve, "main@2", held.Impact.Digest); !errors.As(err, &guard) || !errors.Is(err, fleet.ErrGuarded) {
		t.Fatalf("approval with an outdated digest: error %v, want a GuardError", err)
	}
	if r.wantRevisions("ann=main@1 bob=main@1 cid=main@1"); r.releaseOf("main@2").Impact.Digest != guard.Impact.Digest {
		t.Error("the release does not have its new impact")
	}
	r.decide(fleet.Approve, "main@2", guard.Impact.Digest)
	r.wantRevisions("ann=main@2 bob=main@2 cid=main@2")
}

func TestRejectedReleaseStaysRejected(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "  guard: {removedPerFleet: 0}\n")
	bad := guarded("", "base/kustomization.yaml", noDB)
	r.propose("main@2", bad, fleet.Held)
	r.decide(fleet.Reject, "main@2", "")
	r = r.restart()
	r.wantRevisions("ann=main@1 bob=main@1 cid=main@1")
	r.release("main@3", guarded("", "base/db.yaml", app("db", "{tag: v3}")))
	r.propose("main@2", bad, fleet.Rejected)
	r.wantRevisions("ann=main@3 bob=main@3 cid=main@3")
	r.propose("main@3", guarded("", "base/db.yaml", app("db", "{tag: v3}")), fleet.Live)
}

func TestWriteBeyondTheGuardNeedsConfirmation(t *testing.T) {
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
		t.Errorf("Decommission needs no other confirmation: %v", err)
	}
}

func TestUnpinIsCheckedByTheGuardOfTheCurrentRelease(t *testing.T) {
	t.Parallel()
	const open = "  guard: {removedPerCluster: 100%, removedPerFleet: 100%}\n"
	r := startGuarded(t, "  guard: {removedPerFleet: 0}\n")
	if _, err := r.Pin(t.Context(), ada, fleet.Pin{Name: "all", Scope: fleet.Scope{Selector: &fleet.Selector{}}, Release: "main@1"}); err != nil {
		t.Fatal(err)
	}
	r.propose("main@2", guarded(open, "base/kustomization.yaml", noDB), fleet.Live) // affects no cluster, so that the guard allows it
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

func TestPinThatMakesPartsStaleNeedsConfirmation(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	r.release("main@2", guarded("", "base/kustomization.yaml", "resources: [web.yaml, db.yaml, front.yaml, mail.yaml]\n", "base/mail.yaml", app("mail", "{tag: v1}")))
	r.patch("ann", "App/mail", `{"spec":{"tag":"v9"}}`)
	pin := fleet.Pin{Name: "old", Scope: fleet.Scope{Clusters: []string{"ann"}}, Release: "main@1"}
	_, err := r.Pin(t.Context(), ada, pin)
	var guard *fleet.GuardError
	if !errors.As(err, &guard) || !hasRule(guard.Violations, "allowOrphanedParts") {
		t.Fatalf("Pin = %v, want a violation of allowOrphanedParts", err)
	}
	confirmed := ada
	confirmed.Confirm = guard.Impact.Digest
	if _, err := r.Pin(t.Context(), confirmed, pin); err != nil {
		t.Fatal(err)
	}
	r.wantRevisions("ann=main@1 bob=main@2 cid=main@2")
}
