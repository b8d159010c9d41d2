package credential_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
)

func TestInvalidTokenRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		field   string
		request credential.Request
	}{
		{"name", credential.Request{Role: fleet.RoleViewer, Name: "a/b"}},
		{"name", credential.Request{Role: fleet.RoleViewer, Name: "a\nb"}},
		{"name", credential.Request{Role: fleet.RoleViewer, Name: strings.Repeat("a", 129)}},
		{"role", credential.Request{Role: "root"}},
		{"cluster", credential.Request{Role: fleet.RoleCluster}},
		{"cluster", credential.Request{Role: fleet.RoleViewer, Cluster: "ann"}},
		{"cluster", credential.Request{Role: fleet.RoleBootstrap, Cluster: "ann.example.com"}},
		{"labels", credential.Request{Role: fleet.RoleViewer, Uses: 1}},
		{"labels", credential.Request{Role: fleet.RoleViewer, Labels: map[string]string{"a": "b"}}},
		{"labels.a b", credential.Request{Role: fleet.RoleBootstrap, Labels: map[string]string{"a b": "c"}}},
		{"uses", credential.Request{Role: fleet.RoleBootstrap, Uses: -1}},
		{"ttl", credential.Request{Role: fleet.RoleViewer, TTL: -1}},
		{"selector", credential.Request{Role: fleet.RoleViewer, Selector: &fleet.Selector{MatchLabels: map[string]string{"a": "b"}}}},
		{"selector", credential.Request{Role: fleet.RoleOperator, Selector: &fleet.Selector{}}}, // it would match every cluster
		{"selector", credential.Request{Role: fleet.RoleOperator, Selector: &fleet.Selector{MatchExpressions: []fleet.SelectorRequirement{{Key: "a", Operator: "Is"}}}}},
	} {
		var problems fleet.Problems
		if _, _, err := c.request.New(w.set, "ada", now); !errors.As(err, &problems) || len(problems) != 1 || problems[0].Field != c.field {
			t.Errorf("%+v: %v, want a problem of %s", c.request, err, c.field)
		}
	}
}

// The history must not confuse a token with a cluster or with Tributary itself.
func TestNamesOfOtherActorsAreReserved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"cluster:ci", "source", "tributary", "admin", "anonymous"} {
		if _, _, err := (credential.Request{Name: name, Role: fleet.RoleViewer}).New(credential.NewSet(nil), "ada", now); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("a token with the name %s: %v, want %v", name, err, fleet.ErrInvalid)
		}
	}
}

func TestTokenIsAsRequested(t *testing.T) {
	t.Parallel()
	selector := &fleet.Selector{MatchLabels: map[string]string{"environment": "dev"}}
	made, change, err := credential.Request{Name: "ci", Role: fleet.RoleOperator, Selector: selector, TTL: time.Hour}.New(credential.NewSet(nil), "ada", now)
	if err != nil {
		t.Fatal(err)
	}
	got := change.After
	if change.Before != nil || change.Token != got.ID || got.ID != made.ID || got.Hash != fleet.HashToken(made.Secret) {
		t.Errorf("the change is %+v, and the token %+v", change, made)
	}
	if got.Name != "ci" || got.Role != fleet.RoleOperator || got.Selector != selector || got.CreatedBy != "ada" || !got.CreatedAt.Equal(now) {
		t.Errorf("the token is %+v", got)
	}
	if !got.Valid(now.Add(time.Hour-1)) || got.Valid(now.Add(time.Hour)) {
		t.Errorf("it expires at %s, want in an hour", got.ExpiresAt)
	}
	if !strings.HasPrefix(made.Secret, "trb_") || len(made.Secret) < 50 {
		t.Errorf("the secret is %q", made.Secret)
	}
}

func TestTokenWithoutANameGetsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for prefix, r := range map[string]credential.Request{
		"viewer-": {Role: fleet.RoleViewer},
		"ann-":    {Role: fleet.RoleCluster, Cluster: "ann"},
	} {
		if one := w.create(r).Token; one.Name != prefix+one.ID {
			t.Errorf("the token is named %q, want %s", one.Name, prefix+one.ID)
		}
	}
}

func TestNameOfAValidTokenIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ci := credential.Request{Name: "ci", Role: fleet.RoleViewer}
	first := w.create(ci)
	for _, name := range []string{"ci", first.Token.ID} {
		if _, _, err := (credential.Request{Name: name, Role: fleet.RoleViewer}).New(w.set, "ada", now); !errors.Is(err, fleet.ErrConflict) {
			t.Errorf("another token named %s: %v, want %v", name, err, fleet.ErrConflict)
		}
	}
	both := w.set.With([]*fleet.Token{{ID: "t2", Name: "ci", Role: fleet.RoleViewer}})
	if _, _, err := ci.New(both, "ada", now); !errors.Is(err, fleet.ErrConflict) {
		t.Errorf("a third token named ci: %v, want %v", err, fleet.ErrConflict)
	}
	changes, err := w.set.Revoke("ci", now)
	if err != nil {
		t.Fatal(err)
	}
	w.set = w.set.Apply(changes)
	if second := w.create(ci); w.valid(first.Secret) || !w.valid(second.Secret) {
		t.Error("the name of a revoked token cannot be used again")
	}
}
