package credential_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
)

const key = "7e6d7be4-b454-4b1c-9f43-1d2c3b4a59aa"

func bootstrap(labels map[string]string) credential.Request {
	return credential.Request{Name: "boot", Role: fleet.RoleBootstrap, Labels: labels}
}

func TestRegistrationDeclaresTheClusterAndGivesItAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boot := w.create(bootstrap(map[string]string{"environment": "dev"}))
	plan := w.mustRegister(boot, credential.Registration{Name: "dot", DNS: "dot.example.com", Labels: map[string]string{"tier": "gold"}})
	d := plan.Declared
	if d == nil || d.DNS != "dot.example.com" || !maps.Equal(d.Labels, map[string]string{"environment": "dev", "tier": "gold"}) {
		t.Errorf("dot is declared as %+v", d)
	}
	own := w.sent(plan.Secret).Token
	if own.Name != "cluster:dot" || own.Role != fleet.RoleCluster || own.Cluster != "dot" || own.CreatedBy != "ada" || !w.valid(plan.Secret) {
		t.Errorf("dot's token is %+v", own)
	}
	if used := w.sent(boot.Secret).Token.Used; used != 1 {
		t.Errorf("the bootstrap token was used %d times, want once", used)
	}
	if plan := w.mustRegister(boot, credential.Registration{Name: "ann"}); plan.Declared != nil {
		t.Errorf("ann, which is declared, is declared as %+v", plan.Declared)
	}
}

func TestRegistrationThatIsNotAllowedIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := map[string]string{"environment": "dev"}
	boot := w.create(bootstrap(dev))
	named := w.create(credential.Request{Name: "for dot", Role: fleet.RoleBootstrap, Cluster: "dot"})
	short := w.create(credential.Request{Name: "short", Role: fleet.RoleBootstrap, TTL: time.Second})
	lost := w.create(credential.Request{Role: fleet.RoleCluster, Cluster: "lost"})
	w.mustRegister(boot, credential.Registration{Name: "fay", DNS: "fay.example.com"})
	own := w.sent(w.mustRegister(boot, credential.Registration{Name: "ann"}).Secret)
	w.now = now.Add(time.Second)
	admin, bobs := credential.RegistrationCredential{Role: fleet.RoleAdmin}, credential.RegistrationCredential{Role: fleet.RoleCluster, Cluster: "bob"}
	pruned := boot
	pruned.Token = &fleet.Token{ID: "pruned", Role: fleet.RoleBootstrap}
	for _, c := range []struct {
		by   credential.RegistrationCredential
		r    credential.Registration
		want error
	}{
		{boot, credential.Registration{Name: "eve", Labels: map[string]string{"environment": "prod"}}, fleet.ErrForbidden},
		{boot, credential.Registration{Name: "cid"}, fleet.ErrForbidden}, // it is declared in prod
		{boot, credential.Registration{Name: "ann"}, fleet.ErrConflict},  // it is registered
		{boot, credential.Registration{Name: "fay"}, fleet.ErrConflict},
		{boot, credential.Registration{Name: "bob"}, fleet.ErrConflict}, // it is decommissioned
		{bobs, credential.Registration{Name: "bob"}, fleet.ErrConflict},
		{boot, credential.Registration{Name: "eve", DNS: "ann.example.com"}, fleet.ErrConflict},
		{boot, credential.Registration{Name: "eve", DNS: "bob.example.com"}, fleet.ErrConflict},
		{boot, credential.Registration{Name: "eve", DNS: "eve"}, fleet.ErrInvalid},
		{boot, credential.Registration{Name: "eve.example.com"}, fleet.ErrInvalid},
		{boot, credential.Registration{Name: "eve", Labels: map[string]string{"a b": "c"}}, fleet.ErrInvalid},
		{named, credential.Registration{Name: "eve"}, fleet.ErrForbidden},
		{named, credential.Registration{Name: "cid"}, fleet.ErrForbidden},
		{admin, credential.Registration{Name: "cid", DNS: "other.example.com"}, fleet.ErrConflict},
		{admin, credential.Registration{Name: "cid", Labels: dev}, fleet.ErrConflict},
		{own, credential.Registration{Name: "fay"}, fleet.ErrForbidden},
		{lost, credential.Registration{Name: "lost"}, fleet.ErrNotFound}, // only the token is left
		{short, credential.Registration{Name: "eve"}, fleet.ErrUnauthenticated},
		{pruned, credential.Registration{Name: "eve"}, fleet.ErrUnauthenticated},
	} {
		if plan, err := w.decide(c.by, c.r); plan != nil || !errors.Is(err, c.want) {
			t.Errorf("%+v: %+v, %v, want %v", c.r, plan, err, c.want)
		}
	}
	if plan, err := w.decide(admin, credential.Registration{Name: "cid", DNS: "cid.example.com", Labels: map[string]string{"environment": "prod"}}); err != nil || plan.Declared != nil {
		t.Errorf("cid as it is declared: %+v, %v", plan, err)
	}
}

func TestBootstrapTokenIsUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boot := w.create(credential.Request{Name: "two", Role: fleet.RoleBootstrap, Uses: 2})
	for i, want := range []error{nil, nil, fleet.ErrForbidden, fleet.ErrForbidden} {
		boot.Key = fmt.Sprint(key, i)
		if _, err := w.register(boot, credential.Registration{Name: fmt.Sprintf("new-%d", i)}); !errors.Is(err, want) {
			t.Errorf("registration %d: %v, want %v", i, err, want)
		}
	}
	boot.Key = fmt.Sprint(key, 1)
	if _, err := w.register(boot, credential.Registration{Name: "new-1"}); err != nil {
		t.Errorf("a repetition of a registration that succeeded: %v", err)
	}
}

// A client that got no answer repeats its request.
func TestRepeatedRegistrationGetsTheSameToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boot := w.create(bootstrap(map[string]string{"environment": "dev"}))
	boot.Key = key
	dot := credential.Registration{Name: "dot"}
	first := w.mustRegister(boot, dot)
	if again, err := w.register(boot, dot); err != nil || again.Secret != first.Secret || again.Tokens != nil || again.Declared != nil {
		t.Errorf("repeated: %+v, %v, want the token %s and no change", again, err, first.Secret)
	}
	other, thief := boot, w.create(credential.Request{Name: "thief", Role: fleet.RoleBootstrap})
	other.Key, thief.Key = "another key altogether", key
	for what, by := range map[string]credential.RegistrationCredential{"another key": other, "another token": thief} {
		if _, err := w.register(by, dot); !errors.Is(err, fleet.ErrConflict) {
			t.Errorf("with %s: %v, want %v", what, err, fleet.ErrConflict)
		}
	}

	own := w.sent(first.Secret)
	own.Key = "a key for the rotation"
	rotated, err := w.register(own, dot)
	if err != nil || w.valid(first.Secret) || !w.valid(rotated.Secret) || len(rotated.Tokens) != 2 {
		t.Fatalf("rotated: %+v, %v; the old token is valid: %t", rotated, err, w.valid(first.Secret))
	}
	if again, err := w.register(own, dot); err != nil || again.Secret != rotated.Secret {
		t.Errorf("the rotation repeated with the old token: %+v, %v, want %s", again, err, rotated.Secret)
	}
	own.Key = ""
	if _, err := w.register(own, dot); !errors.Is(err, fleet.ErrUnauthenticated) {
		t.Errorf("with a token that was replaced: %v, want %v", err, fleet.ErrUnauthenticated)
	}
	if _, err := w.register(boot, dot); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("the first request after the rotation: %v, want %v", err, fleet.ErrConflict)
	}
}

// Servers of different versions may answer a request and its repetition.
func TestRepeatedRegistrationGetsTheBytesThatOtherVersionsGive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		secret        string
		r             credential.Registration
		proof, answer string
	}{
		{
			"trb_SECRET", credential.Registration{Name: "edge-1", DNS: "edge-1.example.com", Labels: map[string]string{"tier": "gold", "environment": "dev"}},
			"758893db07a495e88791e66311c897420a02efbfd2a23df2b90815923ecc5752" +
				"1414a23a121e73a9ff787af17be0acbb2f4a0f08775045605a16438ca9562579", "trb_XNEBCQICTB7UQF3XSCOCTG327SWNJPVUB6BAPCO56H6BPKLNWQTA",
		},
		{
			"", credential.Registration{Name: "edge-1"},
			"1d29920d5ec1804ac55eae127528ed08e2873cb8180d198d09106052829bbc53" +
				"72c2de8617734574ce7e3ade89a05427c706481e0850b72d2544d3bdb536d522", "trb_ASMESRDRWC7UH7STE5B5BD3RDOO7SDGOCSHE6FAP4X74MTQ22O3Q",
		},
	} {
		proof, err := hex.DecodeString(c.proof)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.set = credential.NewSet([]*fleet.Token{{
			ID: "t1", Role: fleet.RoleCluster, Cluster: "edge-1", CreatedAt: now,
			TokenSecret: fleet.TokenSecret{Hash: fleet.HashToken(c.answer), Salt: []byte("SALT"), Proof: proof},
		}})
		by := credential.RegistrationCredential{Role: fleet.RoleBootstrap, Secret: c.secret, Key: key}
		if plan, err := w.decide(by, c.r); err != nil || plan.Secret != c.answer || plan.Tokens != nil {
			t.Errorf("%+v: %+v, %v, want %s", c.r, plan, err, c.answer)
		}
	}
}

// A certificate is a cluster's credential too, and is not in the log.
func TestRegistrationByACertificateReplacesTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	by := credential.RegistrationCredential{Role: fleet.RoleCluster, Cluster: "ann"}
	first := w.mustRegister(by, credential.Registration{Name: "ann"})
	second, err := w.register(by, credential.Registration{Name: "ann"})
	if err != nil || w.valid(first.Secret) || !w.valid(second.Secret) {
		t.Errorf("the second registration: %v; the first token is valid: %t", err, w.valid(first.Secret))
	}
	if _, err := w.register(by, credential.Registration{Name: "cid"}); !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("another cluster: %v, want %v", err, fleet.ErrForbidden)
	}
}

// A cluster may have the name of somebody's token.
func TestClusterIsNotConfusedWithATokenOfItsName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boot := w.create(bootstrap(nil))
	ci := w.create(credential.Request{Name: "ci", Role: fleet.RoleOperator})
	got := w.mustRegister(boot, credential.Registration{Name: "ci"})
	changes, err := w.set.Revoke("ci", w.now)
	if err != nil {
		t.Fatal(err)
	}
	if w.set = w.set.Apply(changes); w.valid(ci.Secret) || !w.valid(got.Secret) {
		t.Errorf("after the revocation of ci, it is valid: %t; the token of the cluster is: %t", w.valid(ci.Secret), w.valid(got.Secret))
	}
}

// A request with other content is not the one that was answered.
func TestKeyOfAnotherRequestIsNoRepetition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boot := w.create(bootstrap(nil))
	boot.Key = key
	w.mustRegister(boot, credential.Registration{Name: "dot", DNS: "dot.example.com"})
	if _, err := w.register(boot, credential.Registration{Name: "dot"}); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("without the dns: %v, want %v", err, fleet.ErrConflict)
	}
}

// Certificates send no secret, so that requests with the same key differ in nothing but the
// cluster of the certificate.
func TestAnotherClusterDoesNotRepeatARegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	by := credential.RegistrationCredential{Role: fleet.RoleCluster, Cluster: "ann", Key: key}
	w.mustRegister(by, credential.Registration{Name: "ann"})
	by.Cluster = "cid"
	if plan, err := w.register(by, credential.Registration{Name: "ann"}); !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("cid's certificate with ann's key: %+v, %v, want %v", plan, err, fleet.ErrForbidden)
	}
}

func TestReplayEndsAfterAnHour(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boot := w.create(bootstrap(nil))
	boot.Key = key
	dot := credential.Registration{Name: "dot"}
	w.mustRegister(boot, dot)
	for after, want := range map[time.Duration]error{time.Hour - 1: nil, time.Hour: fleet.ErrConflict} {
		w.now = now.Add(after)
		if _, err := w.decide(boot, dot); !errors.Is(err, want) {
			t.Errorf("after %s: %v, want %v", after, err, want)
		}
	}
}

// What somebody else did with a token since the request was authenticated counts.
func TestRegistrationIsDecidedOnTheTokenAsItIsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	once := w.create(credential.Request{Name: "once", Role: fleet.RoleBootstrap, Uses: 1})
	w.mustRegister(once, credential.Registration{Name: "dot"})
	if once.Token.Used != 0 {
		t.Fatal("the token that the request brought has changed")
	}
	if _, err := w.decide(once, credential.Registration{Name: "eve"}); !errors.Is(err, fleet.ErrForbidden) {
		t.Errorf("a second cluster with a token for one: %v, want %v", err, fleet.ErrForbidden)
	}
}
