package controller_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
)

// token creates a token and returns it as the credential of a registration.
func (r *rig) token(q credential.Request) credential.RegistrationCredential {
	r.t.Helper()
	made, err := r.CreateToken(r.t.Context(), ada, q)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.registrationCredential(made.Secret)
}

// registrationCredential returns the credential of a secret with the current state of its token.
func (r *rig) registrationCredential(secret string) credential.RegistrationCredential {
	r.t.Helper()
	t := r.Tokens().Find(fleet.HashToken(secret))
	if t == nil {
		r.t.Fatalf("token %q is not known", secret)
	}
	return credential.RegistrationCredential{Token: t, Role: t.Role, Cluster: t.Cluster, Labels: t.Labels, Secret: secret}
}

func (r *rig) register(by credential.RegistrationCredential, q credential.Registration) (*credential.RegistrationResult, error) {
	r.t.Helper()
	if by.Token != nil {
		key := by.Key
		by = r.registrationCredential(by.Secret)
		by.Key = key
	}
	return r.Register(r.t.Context(), ada, by, q)
}

func (r *rig) valid(secret string) bool {
	r.t.Helper()
	t := r.Tokens().Find(fleet.HashToken(secret))
	return t != nil && t.Valid(time.Now())
}

func bootstrap(labels map[string]string) credential.Request {
	return credential.Request{Name: "boot", Role: fleet.RoleBootstrap, Labels: labels}
}

func TestRegistrationDeclaresAClusterAndReturnsAToken(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	boot := r.token(bootstrap(map[string]string{"environment": "dev"}))
	got, err := r.register(boot, credential.Registration{Name: "dot", DNS: "dot.example.com", Labels: map[string]string{"tier": "gold"}})
	if err != nil {
		t.Fatal(err)
	}
	if l := r.member("dot.example.com").Cluster.Labels; l["environment"] != "dev" || l["tier"] != "gold" || len(l) != 2 {
		t.Errorf("labels of dot = %v", l)
	}
	own := r.registrationCredential(got.Token)
	if own.Role != fleet.RoleCluster || own.Cluster != "dot" || !r.valid(got.Token) || got.Generation != r.view().Generation() {
		t.Errorf("registration of dot = %+v with the credential %+v", got, own)
	}
	r = r.restart()
	if !r.valid(got.Token) {
		t.Error("the token is not valid after a restart")
	}
	r.wantState("dot", fleet.ClusterActive)
	history, err := json.Marshal(r.history())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{got.Token, boot.Secret, fmt.Sprintf("%x", fleet.HashToken(got.Token))} {
		if strings.Contains(string(history), secret) {
			t.Errorf("the history contains the secret %s", secret)
		}
	}
}

func TestRefusedRegistrationChangesNothing(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	dev := map[string]string{"environment": "dev"}
	boot := r.token(bootstrap(dev))
	named := r.token(credential.Request{Name: "for dot", Role: fleet.RoleBootstrap, Cluster: "dot"})
	if _, err := r.register(boot, credential.Registration{Name: "fay", DNS: "fay.example.com"}); err != nil {
		t.Fatal(err)
	}
	own, err := r.register(boot, credential.Registration{Name: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decommission(t.Context(), ada, "bob"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		by   credential.RegistrationCredential
		q    credential.Registration
		want error
	}{
		{boot, credential.Registration{Name: "eve", Labels: map[string]string{"environment": "prod"}}, fleet.ErrForbidden},
		{boot, credential.Registration{Name: "cid"}, fleet.ErrForbidden}, // Git declares it in prod
		{boot, credential.Registration{Name: "ann"}, fleet.ErrConflict},  // registered
		{boot, credential.Registration{Name: "fay"}, fleet.ErrConflict},
		{boot, credential.Registration{Name: "bob"}, fleet.ErrConflict}, // decommissioned
		{boot, credential.Registration{Name: "eve", DNS: "ann.example.com"}, fleet.ErrConflict},
		{boot, credential.Registration{Name: "eve", DNS: "bob.example.com"}, fleet.ErrConflict},
		{boot, credential.Registration{Name: "eve", DNS: "eve"}, fleet.ErrInvalid},
		{boot, credential.Registration{Name: "eve.example.com"}, fleet.ErrInvalid},
		{boot, credential.Registration{Name: "eve", Labels: map[string]string{"a b": "c"}}, fleet.ErrInvalid},
		{named, credential.Registration{Name: "eve"}, fleet.ErrForbidden},
		{named, credential.Registration{Name: "cid"}, fleet.ErrForbidden},
		{credential.RegistrationCredential{Role: fleet.RoleAdmin}, credential.Registration{Name: "cid", DNS: "other.example.com"}, fleet.ErrConflict},
		{credential.RegistrationCredential{Role: fleet.RoleAdmin}, credential.Registration{Name: "cid", Labels: dev}, fleet.ErrConflict},
		{r.registrationCredential(own.Token), credential.Registration{Name: "fay"}, fleet.ErrForbidden},
	} {
		r.wantRefused(test.want, func() (*fleet.Result, error) {
			_, err := r.register(test.by, test.q)
			return nil, err
		})
	}
	if !r.valid(own.Token) {
		t.Error("a refused registration revoked a token")
	}
}

// A client that repeats a request because it received no answer gets the same answer.
func TestRepeatedRegistrationReturnsTheSameToken(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	boot := r.token(bootstrap(nil))
	boot.Key = "7e6d7be4-b454-4b1c-9f43-1d2c3b4a59aa"
	first, err := r.register(boot, credential.Registration{Name: "dot"})
	if err != nil {
		t.Fatal(err)
	}
	r = r.restart()
	second, err := r.register(boot, credential.Registration{Name: "dot"})
	if err != nil || second.Token != first.Token || !r.valid(first.Token) {
		t.Errorf("repeated registration = %+v, %v, want %+v", second, err, first)
	}
	other := boot
	other.Key = "another key altogether"
	if _, err := r.register(other, credential.Registration{Name: "dot"}); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("registration with another key: error %v, want %v", err, fleet.ErrConflict)
	}
	thief := r.token(credential.Request{Name: "thief", Role: fleet.RoleBootstrap})
	thief.Key = boot.Key
	if _, err := r.register(thief, credential.Registration{Name: "dot"}); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("registration with the key and another token: error %v, want %v", err, fleet.ErrConflict)
	}

	own := r.registrationCredential(first.Token)
	own.Key = "a key for the rotation"
	rotated, err := r.register(own, credential.Registration{Name: "dot"})
	if err != nil || r.valid(first.Token) || !r.valid(rotated.Token) {
		t.Fatalf("rotation = %+v, %v; the old token is valid: %v", rotated, err, r.valid(first.Token))
	}
	if last := r.history()[len(r.history())-1]; last.Kind != fleet.Registered || len(last.Clusters) != 1 || last.Clusters[0] != "dot" || len(last.Tokens) != 2 {
		t.Errorf("the history has %+v", last)
	}
	again, err := r.register(own, credential.Registration{Name: "dot"}) // with the old token
	if err != nil || again.Token != rotated.Token {
		t.Errorf("repeated rotation = %+v, %v, want %+v", again, err, rotated)
	}
	own.Key = ""
	if _, err := r.register(own, credential.Registration{Name: "dot"}); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("registration with a replaced token: error %v, want %v", err, fleet.ErrUnauthenticated)
	}
	if _, err := r.register(boot, credential.Registration{Name: "dot"}); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("first request repeated after the rotation: error %v, want %v", err, fleet.ErrConflict)
	}
}

// If Git declares a registered name with other labels, the token of the registration ends and the
// deltas of the registered cluster do not apply to the declared one.
func TestFileReplacesARegistrationWithOtherLabels(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	boot := r.token(bootstrap(map[string]string{"environment": "dev"}))
	got := map[string]string{}
	for _, name := range []string{"squat", "good"} {
		one, err := r.register(boot, credential.Registration{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		got[name] = one.Token
		r.patch(name, "App/web", `{"spec":{"tag":"own"}}`)
	}
	r.apply(`{name: both, clusters: [good, squat], edits: [{kind: App, name: db, patch: {spec: {tag: both}}}]}`)
	r.release("main@2", acme("clusters/squat.yaml", clusterFile("squat", "prod"), "clusters/good.yaml", clusterFile("good", "dev")))
	check := func(r *rig) {
		t.Helper()
		if r.valid(got["squat"]) || r.ownDelta("squat") != "" {
			t.Errorf("squat: token is valid: %v, own delta = %s, want neither", r.valid(got["squat"]), r.ownDelta("squat"))
		}
		r.wantInput("squat", "db", `{"replicas":1,"tag":"v1"}`)
		if !r.valid(got["good"]) || r.ownDelta("good") == "" {
			t.Error("good has lost its token or its own delta")
		}
		r.wantInput("good", "db", `{"replicas":1,"tag":"both"}`)
	}
	check(r)
	r = r.restart()
	check(r)
}

// A delta that does not apply does not prevent a cluster from registering.
func TestStaleDeltaDoesNotPreventRegistration(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	r.apply(`{name: gold, selector: {matchLabels: {tier: gold}}, edits: [{kind: App, name: nobody, patch: {spec: {tag: v2}}}]}`)
	if _, err := r.register(r.token(bootstrap(nil)), credential.Registration{Name: "dot", Labels: map[string]string{"tier": "gold"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := r.staleParts("dot"), "delta/gold:edits[0]"; got != want {
		t.Errorf("stale parts of dot = %s, want %s", got, want)
	}
	r.declare(`{name: eve, labels: {tier: gold}}`)
	r = r.restart()
	if got, want := r.staleParts("eve"), "delta/gold:edits[0]"; got != want {
		t.Errorf("stale parts of eve = %s, want %s", got, want)
	}
}

func TestPurgeRevokesTheTokensOfACluster(t *testing.T) {
	t.Parallel()
	r := startAcme(t)
	boot := r.token(bootstrap(nil))
	got, err := r.register(boot, credential.Registration{Name: "dot"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Decommission(t.Context(), ada, "dot"); err != nil {
		t.Fatal(err)
	}
	if !r.valid(got.Token) {
		t.Error("the token of a decommissioned cluster is not valid, but the cluster has to poll its empty sets")
	}
	if _, err := r.Purge(t.Context(), ada, "dot"); err != nil {
		t.Fatal(err)
	}
	if r.valid(got.Token) {
		t.Error("the token of a purged cluster is valid")
	}
	if _, err := r.register(boot, credential.Registration{Name: "dot"}); err != nil {
		t.Errorf("registration of a purged cluster: %v", err)
	}
}

// A thousand clusters register at once. Each repeats its request twice, as a client without an
// answer does.
func TestThousandConcurrentRegistrationsSucceed(t *testing.T) {
	t.Parallel()
	clusters := 1000
	if testing.Short() {
		clusters = 200
	}
	const times = 3
	r := startAcme(t)
	boot := r.token(credential.Request{Name: "boot", Role: fleet.RoleBootstrap, Uses: clusters, Labels: map[string]string{"environment": "dev"}})
	var mu sync.Mutex
	got := map[string]map[string]bool{} // tokens by cluster
	var all sync.WaitGroup
	for n := range clusters * times {
		all.Go(func() {
			by, name := boot, fmt.Sprintf("new-%d", n%clusters)
			by.Key = "the key of the cluster " + name
			one, err := r.register(by, credential.Registration{Name: name})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if got[name] == nil {
				got[name] = map[string]bool{}
			}
			got[name][one.Token] = true
		})
	}
	all.Wait()
	tokens := map[string]bool{}
	for name, own := range got {
		if len(own) != 1 {
			t.Errorf("%s received %d tokens, want 1", name, len(own))
		}
		for token := range own {
			tokens[token] = r.valid(token)
		}
		r.wantState(name, fleet.ClusterActive)
	}
	for token, valid := range tokens {
		if !valid {
			t.Errorf("token %s is not valid", token)
		}
	}
	if len(tokens) != clusters || len(r.view().Members()) != clusters+3 {
		t.Errorf("%d tokens and %d clusters, want %d and 3 more clusters", len(tokens), len(r.view().Members()), clusters)
	}
	if used := r.registrationCredential(boot.Secret).Token.Used; used != clusters {
		t.Errorf("the bootstrap token was used %d times, want %d", used, clusters)
	}
}
