package credential_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// world is a log of tokens and the clusters of a fleet.
type world struct {
	t        *testing.T
	now      time.Time
	set      *credential.Set
	clusters map[string]*fleet.Cluster
	ended    map[string]bool // decommissioned clusters
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{
		t: t, now: now, set: credential.NewSet(nil), ended: map[string]bool{"bob": true},
		clusters: map[string]*fleet.Cluster{
			"ann": {Name: "ann", DNS: "ann.example.com", Labels: map[string]string{"environment": "dev"}},
			"bob": {Name: "bob", DNS: "bob.example.com", Labels: map[string]string{"environment": "dev"}},
			"cid": {Name: "cid", DNS: "cid.example.com", Labels: map[string]string{"environment": "prod"}},
		},
	}
}

// create adds a token to the log, and returns it as a client sends it.
func (w *world) create(r credential.Request) credential.RegistrationCredential {
	w.t.Helper()
	made, change, err := r.New(w.set, "ada", w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.set = w.set.Apply([]fleet.TokenChange{change})
	return w.sent(made.Secret)
}

// sent returns a token of the log as a client sends it.
func (w *world) sent(secret string) credential.RegistrationCredential {
	w.t.Helper()
	t := w.set.Find(fleet.HashToken(secret))
	if t == nil {
		w.t.Fatalf("the token %q is not in the log", secret)
	}
	return credential.RegistrationCredential{Token: t, Role: t.Role, Cluster: t.Cluster, Labels: t.Labels, Secret: secret}
}

// decide decides a registration and changes nothing.
func (w *world) decide(by credential.RegistrationCredential, r credential.Registration) (*credential.RegistrationPlan, error) {
	return r.Decide(by, "ada", credential.Current{
		Tokens: w.set, Cluster: w.clusters[r.Name], Decommissioned: w.ended[r.Name], Now: w.now,
		DNSOwner: func(dns string) string {
			for name, c := range w.clusters {
				if c.DNS == dns {
					return name
				}
			}
			return ""
		},
	})
}

// register decides a registration and applies what follows.
func (w *world) register(by credential.RegistrationCredential, r credential.Registration) (*credential.RegistrationPlan, error) {
	plan, err := w.decide(by, r)
	if err != nil {
		return nil, err
	}
	w.set = w.set.Apply(plan.Tokens)
	if plan.Declared != nil {
		w.clusters[r.Name] = plan.Declared.Named(r.Name)
	}
	return plan, nil
}

// mustRegister is register of what must be allowed.
func (w *world) mustRegister(by credential.RegistrationCredential, r credential.Registration) *credential.RegistrationPlan {
	w.t.Helper()
	plan, err := w.register(by, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return plan
}

// valid reports whether a token may be used now.
func (w *world) valid(secret string) bool {
	t := w.set.Find(fleet.HashToken(secret))
	return t != nil && t.Valid(w.now)
}

func names(tokens []*fleet.Token) string {
	var all []string
	for _, t := range tokens {
		all = append(all, t.Name)
	}
	return strings.Join(all, " ")
}

func TestSetIsImmutable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.create(credential.Request{Name: "a", Role: fleet.RoleViewer})
	before := w.set
	changes, err := w.set.Revoke("a", now)
	if err != nil {
		t.Fatal(err)
	}
	w.set = w.set.Apply(changes)
	w.create(credential.Request{Name: "b", Role: fleet.RoleViewer})
	if got := before.Find(a.Token.Hash); !got.Valid(now) || before.ByID(got.ID) != got || names(before.List()) != "a" {
		t.Errorf("the set from before has %s, and a is %+v", names(before.List()), got)
	}
	if w.valid(a.Secret) || names(w.set.List()) != "a b" {
		t.Errorf("the set has %s, and a is valid: %t", names(w.set.List()), w.valid(a.Secret))
	}
}

func TestSetKnowsWhetherPeopleHaveTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(credential.Request{Role: fleet.RoleBootstrap})
	w.create(credential.Request{Role: fleet.RoleCluster, Cluster: "ann"})
	if w.set.ForPeople() || w.set.Admins(now) {
		t.Error("tokens that poll and register count as those of people")
	}
	admin := w.create(credential.Request{Role: fleet.RoleAdmin, TTL: time.Hour})
	if !w.set.ForPeople() || !w.set.Admins(now) || w.set.Admins(now.Add(time.Hour)) {
		t.Error("an admin's token that is valid for an hour is not counted for that hour")
	}
	changes, err := w.set.Revoke(admin.Token.ID, now)
	if err != nil {
		t.Fatal(err)
	}
	w.set = w.set.Apply(changes)
	if !w.set.ForPeople() || w.set.Admins(now) {
		t.Error("after a revocation: a token of a person was there, and no admin is left")
	}
}

func TestTokenIsIdentifiedByIDOrName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.create(credential.Request{Name: "ci", Role: fleet.RoleOperator, TTL: time.Hour}).Token
	w.now = now.Add(time.Hour)
	second := w.create(credential.Request{Name: "ci", Role: fleet.RoleViewer}).Token // the first has expired
	for _, c := range []struct {
		at   time.Time
		text string
		want *fleet.Token
		err  error
	}{
		{now, first.ID, first, nil},
		{w.now, first.ID, first, nil},
		{w.now, "ci", second, nil},
		{now, "ci", nil, fleet.ErrConflict},
		{now, "cd", nil, fleet.ErrNotFound},
	} {
		if got, err := w.set.Identified(c.text, c.at); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("Identified(%q) = %+v, %v, want %+v, %v", c.text, got, err, c.want, c.err)
		}
		if _, err := w.set.Revoke(c.text, c.at); !errors.Is(err, c.err) {
			t.Errorf("Revoke(%q): %v, want %v", c.text, err, c.err)
		}
	}
	_, err := w.set.Identified("ci", now)
	for _, id := range []string{first.ID + " (operator)", second.ID + " (viewer)"} {
		if !strings.Contains(err.Error(), id) {
			t.Errorf("%q does not name %s", err, id)
		}
	}
}

func TestRevokedTokenStaysAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.create(credential.Request{Role: fleet.RoleViewer})
	for _, want := range []int{1, 0} {
		changes, err := w.set.Revoke(one.Token.ID, w.now)
		if err != nil || len(changes) != want {
			t.Errorf("Revoke = %+v, %v, want %d changes", changes, err, want)
		}
		w.set, w.now = w.set.Apply(changes), w.now.Add(time.Hour)
	}
	if ended := w.set.ByID(one.Token.ID).RevokedAt; ended == nil || !ended.Equal(now) {
		t.Errorf("it ended at %v, want %s", ended, now)
	}
}

func TestAllTokensOfAClusterEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []string
	for _, r := range []credential.Request{
		{Role: fleet.RoleCluster, Cluster: "ann"}, {Role: fleet.RoleCluster, Cluster: "ann"}, {Role: fleet.RoleBootstrap, Cluster: "ann"},
	} {
		want = append(want, w.create(r).Token.ID)
	}
	slices.Sort(want)
	others := []credential.RegistrationCredential{
		w.create(credential.Request{Role: fleet.RoleCluster, Cluster: "cid"}), w.create(credential.Request{Role: fleet.RoleBootstrap}),
	}
	if own := w.set.Of("ann", now); len(own) != 2 || own[0].ID > own[1].ID {
		t.Errorf("ann's own tokens are %+v", own)
	}
	ended := w.set.EndAll("ann", now)
	var got []string
	for _, c := range ended {
		got = append(got, c.Token)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v end, want %v", got, want)
	}
	w.set = w.set.Apply(ended)
	if len(w.set.Of("ann", now)) > 0 || len(w.set.EndAll("ann", now)) > 0 || !w.valid(others[0].Secret) || !w.valid(others[1].Secret) {
		t.Error("other tokens ended than those of ann")
	}
}
