package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
)

// fileWithDNS returns the file of a cluster of dev that is found by a dns.
func fileWithDNS(name, dns string) string {
	return fmt.Sprintf("apiVersion: tributary/v1alpha1\nkind: Cluster\nmetadata: {name: %s, labels: {environment: dev}}\nspec: {dns: %s}\n", name, dns)
}

func rules(violations []fleet.Violation) (all []string) {
	for _, v := range violations {
		all = append(all, v.Rule)
	}
	return all
}

// A cluster that polls by a dns is served the inputs of the cluster that has it, so that whoever gives
// the name to another cluster replaces all that it has.
func TestReleaseThatGivesADNSToAnotherClusterIsHeld(t *testing.T) {
	t.Parallel()
	const open = "  guard: {removedPerCluster: 100%, removedPerFleet: 100%, allowEmptySets: true, allowVanishedSets: true, allowOrphanedParts: true}\n"
	for name, c := range map[string]struct {
		tree fstest.MapFS
		want string
	}{
		"moved":                           {guarded(open, "clusters/ann.yaml", fileWithDNS("ann", "new.example.com"), "clusters/bob.yaml", fileWithDNS("bob", "ann.example.com")), "ann.example.com: ann to bob"},
		"swapped":                         {guarded(open, "clusters/ann.yaml", fileWithDNS("ann", "bob.example.com"), "clusters/bob.yaml", fileWithDNS("bob", "ann.example.com")), "ann.example.com: ann to bob, bob.example.com: bob to ann"},
		"taken from a cluster of the API": {guarded(open, "clusters/dan.yaml", fileWithDNS("dan", "api.example.com")), "api.example.com: api to dan"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startGuarded(t, open)
			r.declare(`{name: api, dns: api.example.com, labels: {environment: prod}}`)
			held := r.propose("main@2", c.tree, fleet.Held)
			var got []string
			for _, n := range held.Impact.Reowned {
				got = append(got, n.DNS+": "+n.From+" to "+n.To)
			}
			if text := strings.Join(got, ", "); text != c.want || !slices.Equal(rules(held.Violations), []string{"allowReownedNames"}) {
				t.Errorf("names = %s, violations %v, want %s and allowReownedNames", text, held.Violations, c.want)
			}
			r.decide(fleet.Approve, "main@2", held.Impact.Digest)
			r.awaitRevision("main@2")
		})
	}
}

func TestReleaseMayGiveDNSNamesToOtherClustersWhereTheGuardAllowsIt(t *testing.T) {
	t.Parallel()
	const open = "  guard: {removedPerCluster: 100%, removedPerFleet: 100%, allowReownedNames: true}\n"
	r := startGuarded(t, open)
	r.release("main@2", guarded(open, "clusters/ann.yaml", fileWithDNS("ann", "bob.example.com"), "clusters/bob.yaml", fileWithDNS("bob", "ann.example.com")))
}

// A name that nobody has any more is answered 404, and Flux keeps what it has.
func TestReleaseThatDropsADNSGoesLive(t *testing.T) {
	t.Parallel()
	r := startGuarded(t, "")
	r.release("main@2", guarded("", "clusters/ann.yaml", fileWithDNS("ann", "new.example.com")))
	if _, err := r.view().Member("ann.example.com"); err == nil {
		t.Error("ann is still found by the dns that it had")
	}
}

// Two writes that are harmless one by one: the first takes the name away, and the second gives it to
// another cluster.
func TestWriteThatGivesAPolledDNSToAnotherClusterMustBeConfirmed(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.release("main@2", guarded(""))
	r.declare(`{name: one, dns: p1.example.com}`)
	r.declare(`{name: two}`)
	r.recordPoll("p1.example.com", "apps", r.view().Generation(), "flux-operator/v0.58")
	if _, err := r.Redeclare(t.Context(), ada, "one", []byte(`{"dns": null}`)); err != nil {
		t.Fatal(err)
	}
	r = r.restart() // which remembers who polled by which name
	give := func(o controller.WriteOptions) (*fleet.Result, error) {
		return r.Redeclare(t.Context(), o, "two", []byte(`{"dns": "p1.example.com"}`))
	}
	err := r.wantRefused(fleet.ErrGuarded, func() (*fleet.Result, error) { return give(ada) })
	var refused *fleet.GuardError
	if !errors.As(err, &refused) || !slices.Equal(refused.Impact.Reowned, []fleet.ReownedName{{DNS: "p1.example.com", From: "one", To: "two"}}) {
		t.Fatalf("giving the name to another cluster: %v", err)
	}
	confirmed := ada
	confirmed.Confirm = refused.Impact.Digest
	if _, err := give(confirmed); err != nil {
		t.Errorf("the confirmed write: %v", err)
	}
}

func TestDNSThatNobodyPollsByMayBeGivenToAnotherCluster(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.release("main@2", guarded(""))
	r.declare(`{name: one, dns: p1.example.com}`)
	r.declare(`{name: two}`)
	r.recordPoll("p1.example.com", "apps", r.view().Generation(), "flux-operator/v0.58")
	r.recordPoll("one", "apps", r.view().Generation(), "flux-operator/v0.58") // it polls by its name now
	for _, change := range [][2]string{{"one", `{"dns": null}`}, {"two", `{"dns": "p1.example.com"}`}} {
		if _, err := r.Redeclare(t.Context(), ada, change[0], []byte(change[1])); err != nil {
			t.Fatal(err)
		}
	}
}
