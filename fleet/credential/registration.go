package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tributary-gitops/tributary/fleet"
)

// Registration is what a booting cluster says about itself. Its JSON is part of the proof that
// the log keeps of a registration, so it must not change.
type Registration struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	DNS    string            `json:"dns,omitempty"`
}

// RegistrationCredential is the credential that a registration is made with.
type RegistrationCredential struct {
	// Token is the credential as the log has it; nil for one that is not in the log, such as a
	// client certificate.
	Token *fleet.Token
	// Role is bootstrap, cluster or admin.
	Role fleet.Role
	// Cluster is the only cluster that may be registered; empty for any.
	Cluster string
	// Labels are those that every registered cluster must have.
	Labels map[string]string
	// Secret is the credential as it was sent, and Key the idempotency key of the request, each
	// empty for none. With both, the cluster's token can be requested again.
	Secret, Key string
}

// RegistrationResult is what a cluster gets for its registration: its own token, which is kept
// nowhere else.
type RegistrationResult struct {
	Cluster    string
	Token      string
	Generation int64
}

// Current is what a registration is decided on: the state of the fleet at this moment.
type Current struct {
	Tokens *Set
	// Cluster is the cluster that has the registration's name; nil where there is none.
	Cluster *fleet.Cluster
	// Decommissioned reports whether that cluster has a tombstone.
	Decommissioned bool
	// DNSOwner returns the name of the cluster that has a dns, also of one that is orphaned or
	// decommissioned; empty for none.
	DNSOwner func(dns string) string
	Now      time.Time
}

// RegistrationPlan is what to do about a registration that is allowed.
type RegistrationPlan struct {
	// Secret is the cluster's token.
	Secret string
	// Declared is the declaration to make; nil where the cluster is declared already.
	Declared *fleet.Declaration
	// Tokens are the changes of tokens. There are none where the request repeats one that was
	// answered before: nothing changes then.
	Tokens []fleet.TokenChange
}

// replayTime is how long a request may be repeated with its idempotency key.
const replayTime = time.Hour

// Check returns what is wrong with the registration, whatever clusters there are.
func (r Registration) Check() fleet.Problems {
	var problems fleet.Problems
	if len(validation.IsDNS1123Label(r.Name)) > 0 {
		problems = append(problems, fleet.Problem{Field: "name", Message: fmt.Sprintf("%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", r.Name)})
	}
	if r.DNS != "" && !fleet.IsClusterDNS(r.DNS) {
		problems = append(problems, fleet.Problem{Field: "dns", Message: fmt.Sprintf("%q must be a DNS name that contains a dot, so that it cannot be confused with a cluster's name", r.DNS)})
	}
	return append(problems, fleet.CheckLabels(r.Labels)...)
}

// Decide returns how the cluster gets a token of its own, created by actor, and how it is
// declared where nothing declares it. A registration with the cluster's own token replaces that
// token; one with another credential of the cluster, such as a certificate, replaces all its
// tokens. A request that is repeated within an hour with the same key and credential gets the
// same token again.
//
// What Check finds is returned as Problems. It is an ErrUnauthenticated where the token is not
// valid, an ErrForbidden where the credential does not allow the registration, an ErrNotFound
// where a cluster's credential outlives the cluster, and an ErrConflict where the cluster has a
// token, is decommissioned or is declared otherwise, where another cluster has the dns, or where
// the key was used for another registration.
func (r Registration) Decide(by RegistrationCredential, actor string, c Current) (*RegistrationPlan, error) {
	if problems := r.Check(); len(problems) > 0 {
		return nil, problems
	}
	switch t, err := by.replayed(r, c); {
	case err != nil:
		return nil, err
	case t != nil:
		return &RegistrationPlan{Secret: by.deriveSecret(t.Salt, r)}, nil
	}
	if by.Token != nil {
		by.Token = c.Tokens.ByID(by.Token.ID) // another request may have used it meanwhile
		if err := checkToken(by.Token, c.Now); err != nil {
			return nil, err
		}
	}
	labels, err := by.completeLabels(r)
	if err != nil {
		return nil, err
	}
	own := c.Tokens.Of(r.Name, c.Now)
	switch {
	case c.Decommissioned:
		return nil, fmt.Errorf("cluster %q: %w: it is decommissioned; purge it before it is registered again", r.Name, fleet.ErrConflict)
	case by.Role == fleet.RoleCluster && c.Cluster == nil:
		return nil, fmt.Errorf("cluster %q: %w: it no longer exists", r.Name, fleet.ErrNotFound)
	case by.Role != fleet.RoleCluster && len(own) > 0:
		return nil, fmt.Errorf("cluster %q: %w: it is registered already: register with the cluster's own token, or have an admin revoke that token (%s)",
			r.Name, fleet.ErrConflict, own[0].ID)
	}
	plan := &RegistrationPlan{}
	if c.Cluster != nil {
		err = by.checkDeclared(r.Name, labels, r.DNS, c.Cluster)
	} else {
		err = checkDNS(r, c.DNSOwner)
		plan.Declared = &fleet.Declaration{DNS: r.DNS, Labels: labels}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case by.Token != nil && by.Token.Role == fleet.RoleCluster:
		plan.Tokens = append(plan.Tokens, revoke(by.Token, c.Now))
	case by.Token != nil:
		used := *by.Token
		used.Used++
		plan.Tokens = append(plan.Tokens, fleet.TokenChange{Token: used.ID, Before: by.Token, After: &used})
	case by.Role == fleet.RoleCluster:
		for _, t := range own {
			plan.Tokens = append(plan.Tokens, revoke(t, c.Now))
		}
	}
	t, secret := by.newToken(r, actor, c.Now)
	plan.Tokens, plan.Secret = append(plan.Tokens, fleet.TokenChange{Token: t.ID, After: t}), secret
	return plan, nil
}

// checkToken returns why a token must not register any cluster. It is nil where it has been
// pruned since the request was authenticated.
func checkToken(t *fleet.Token, now time.Time) error {
	switch {
	case t == nil || !t.Valid(now):
		return fmt.Errorf("%w: the token was revoked, has expired, or was replaced by an earlier registration", fleet.ErrUnauthenticated)
	case t.Uses > 0 && t.Used >= t.Uses:
		return fmt.Errorf("bootstrap token %q: %w: it has registered %d clusters, which is its limit; use another token", t.Name, fleet.ErrForbidden, t.Used)
	}
	return nil
}

// completeLabels returns the labels of the registration with those that the credential requires,
// or an ErrForbidden where the credential is not for such a cluster.
func (by RegistrationCredential) completeLabels(r Registration) (map[string]string, error) {
	if by.Cluster != "" && by.Cluster != r.Name {
		return nil, fmt.Errorf("cluster %q: %w: this credential registers cluster %q only", r.Name, fleet.ErrForbidden, by.Cluster)
	}
	if len(by.Labels) == 0 {
		return r.Labels, nil
	}
	labels := maps.Clone(by.Labels)
	maps.Copy(labels, r.Labels)
	for _, key := range slices.Sorted(maps.Keys(by.Labels)) {
		if labels[key] != by.Labels[key] {
			return nil, fmt.Errorf("cluster %q: %w: this credential registers clusters with %s=%s only", r.Name, fleet.ErrForbidden, key, by.Labels[key])
		}
	}
	return labels, nil
}

// checkDeclared returns how a registration contradicts a cluster that is declared already.
func (by RegistrationCredential) checkDeclared(name string, labels map[string]string, dns string, c *fleet.Cluster) error {
	if key, differs := firstMissing(by.Labels, c.Labels); differs {
		return fmt.Errorf("cluster %q: %w: this credential registers clusters with %s=%s only, and the cluster is declared without that label",
			name, fleet.ErrForbidden, key, by.Labels[key])
	}
	if key, differs := firstMissing(labels, c.Labels); differs {
		return fmt.Errorf("cluster %q: %w: it is declared without %s=%s; register it as it is declared, or leave the label out",
			name, fleet.ErrConflict, key, labels[key])
	}
	if dns != "" && dns != c.DNS {
		return fmt.Errorf("cluster %q: %w: it is declared with dns %q; register it as it is declared, or leave the dns out", name, fleet.ErrConflict, c.DNS)
	}
	return nil
}

// firstMissing returns the first key of want, in order, that has lacks or has with another value.
func firstMissing(want, has map[string]string) (key string, missing bool) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if value, there := has[key]; !there || value != want[key] {
			return key, true
		}
	}
	return "", false
}

// checkDNS returns an ErrConflict where another cluster has the dns of the registration.
func checkDNS(r Registration, owner func(dns string) string) error {
	if r.DNS == "" {
		return nil
	}
	if other := owner(r.DNS); other != "" && other != r.Name {
		return fmt.Errorf("dns %q: %w: it belongs to cluster %q", r.DNS, fleet.ErrConflict, other)
	}
	return nil
}

// replayed returns the valid token that an earlier copy of this very request created; nil for
// none. It is an ErrConflict where the key belongs to an earlier request that differs.
func (by RegistrationCredential) replayed(r Registration, c Current) (found *fleet.Token, err error) {
	if by.Key == "" || by.Cluster != "" && by.Cluster != r.Name {
		return nil, nil
	}
	proof := by.proof(r)
	for _, t := range c.Tokens.byID {
		switch {
		case len(t.Proof) != len(proof) || c.Now.Sub(t.CreatedAt) >= replayTime || !hmac.Equal(t.Proof[:sha256.Size], proof[:sha256.Size]):
		case !hmac.Equal(t.Proof, proof):
			return nil, fmt.Errorf("idempotency key: %w: it was used for another registration, of cluster %q; use another key, or repeat that registration unchanged", fleet.ErrConflict, t.Cluster)
		case t.Valid(c.Now):
			found = t
		}
	}
	return found, nil
}

// newToken returns a token of the cluster's own with its secret. Where the request has a key, the
// secret is derived from the request, so that every server answers a repetition with the same
// secret although none keeps it.
func (by RegistrationCredential) newToken(r Registration, actor string, now time.Time) (*fleet.Token, string) {
	t := &fleet.Token{ID: newTokenID(), Name: "cluster:" + r.Name, Role: fleet.RoleCluster, Cluster: r.Name, CreatedAt: now, CreatedBy: actor}
	secret := newSecret()
	if by.Key != "" {
		t.Salt, t.Proof = []byte(rand.Text()), by.proof(r)
		secret = by.deriveSecret(t.Salt, r)
	}
	t.Hash = fleet.HashToken(secret)
	return t, secret
}

// deriveSecret returns the token that the request gets with a salt.
func (by RegistrationCredential) deriveSecret(salt []byte, r Registration) string {
	sum := by.mac(append([]byte("token"), salt...), r)
	return secretPrefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)
}

// proof identifies the request by its credential and key in its first half, and by its content
// too in the second. It reveals none of them.
func (by RegistrationCredential) proof(r Registration) []byte {
	return append(mac([]byte("key"), by.Secret, by.Cluster, by.Key), by.mac([]byte("proof"), r)...)
}

func (by RegistrationCredential) mac(key []byte, r Registration) []byte {
	return mac(key, by.Secret, by.Key, string(fleet.EncodeJSON(r)))
}

func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return h.Sum(nil)
}
