package fleet

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Registration is what a booting cluster says of itself.
type Registration struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	DNS    string            `json:"dns,omitempty"`
}

// Registrant says who registers: with which credential, and which repetition of
// which request it is.
type Registrant struct {
	// Token is the credential as the log has it; nil for one that it does not have.
	Token *Token
	// Role is bootstrap, cluster or admin. Cluster limits it to one; Labels are
	// those that each cluster must have.
	Role    Role
	Cluster string
	Labels  map[string]string
	// Secret is the credential itself, as it was sent, and Key the request's
	// idempotency key, "" for none. Both are as good as the token that they got.
	Secret, Key string
}

// Enrolled is what came of a registration: the cluster's own token, which is kept
// nowhere else.
type Enrolled struct {
	Cluster    string `json:"cluster"`
	Token      string `json:"token"`
	Generation int64  `json:"generation"`
}

// replayTime is how long a request may be repeated with its idempotency key.
const replayTime = time.Hour

// Register gives a cluster a token of its own, and declares it where nothing does.
// With the cluster's own token that is replaced. It is an ErrConflict where the
// cluster has a token already or is declared otherwise, and an ErrForbidden where
// the credential does not allow it. A request that is repeated with the same key
// and credential gets the same token again.
func (f *Fleet) Register(ctx context.Context, w Write, by Registrant, r Registration) (*Enrolled, error) {
	if problems := r.check(); len(problems) > 0 {
		return nil, problems
	}
	out := &Enrolled{Cluster: r.Name}
	asked := r // before the credential adds its labels
	result, err := f.write(ctx, w, Registered, func(v *View) (plan, error) {
		r := asked
		now := f.now()
		if known := f.replayed(by, r, now); known != nil {
			out.Token = by.derive(known.Salt, r)
			return plan{}, nil
		}
		if by.Token != nil {
			by.Token = f.Tokens().byID[by.Token.ID] // others may have used it since
		}
		p, err := f.registering(v, by, r, now)
		if err != nil {
			return plan{}, err
		}
		own, secret := by.newToken(w.Actor, asked, now)
		out.Token = secret
		p.tokens = append(p.tokens, TokenChange{Token: own.ID, After: own})
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	out.Generation = result.Generation
	return out, nil
}

func (r Registration) check() Problems {
	var problems Problems
	if len(validation.IsDNS1123Label(r.Name)) > 0 {
		problems = append(problems, Problem{Field: "name", Message: fmt.Sprintf("%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", r.Name)})
	}
	if r.DNS != "" && !IsClusterDNS(r.DNS) {
		problems = append(problems, Problem{Field: "dns", Message: fmt.Sprintf("%q must be a DNS name with a dot in it, so that no cluster's name can be taken for it", r.DNS)})
	}
	return append(problems, checkLabels(r.Labels)...)
}

// registering is the plan for a registration, without the new token.
func (f *Fleet) registering(v *View, by Registrant, r Registration, now time.Time) (plan, error) {
	p := plan{about: r.Name}
	if err := by.may(&r, now); err != nil {
		return p, err
	}
	m := v.named(r.Name)
	if m != nil && m.State == DecommissionedState {
		return p, decommissioned(m)
	}
	owns := f.Tokens().of(r.Name, now)
	switch {
	case by.Role == RoleCluster && m == nil:
		return p, fmt.Errorf("cluster %q: %w: there is none any more", r.Name, ErrNotFound)
	case by.Role != RoleCluster && len(owns) > 0:
		return p, fmt.Errorf("cluster %q: %w: it is registered already: register with the cluster's own token, or have an admin revoke that token (%s)",
			r.Name, ErrConflict, owns[0].ID)
	}
	if m != nil {
		if err := by.agrees(m, r); err != nil {
			return p, err
		}
	} else {
		if err := v.dnsIsFree(r.Name, r.DNS); err != nil {
			return p, err
		}
		declared := &Declaration{DNS: r.DNS, Labels: r.Labels}
		p.records = []RecordChange{recordChange(v.records[r.Name], &ClusterRecord{Cluster: r.Name, Since: v.generation + 1, Declared: declared})}
	}
	switch {
	case by.Token != nil:
		p.tokens = append(p.tokens, by.Token.usedUp(now))
	case by.Role == RoleCluster: // by a certificate, say, which stays
		for _, t := range owns {
			p.tokens = append(p.tokens, t.revoked(now))
		}
	}
	return p, nil
}

// usedUp is what a registration makes of the credential that it was asked with.
func (t *Token) usedUp(now time.Time) TokenChange {
	if t.Role == RoleCluster {
		return t.revoked(now)
	}
	after := *t
	after.Used++
	return TokenChange{Token: t.ID, Before: t, After: &after}
}

// may returns why the credential must not register r, whose labels it completes.
func (by Registrant) may(r *Registration, now time.Time) error {
	if t := by.Token; t != nil {
		switch {
		case !t.Valid(now):
			return fmt.Errorf("%w: the token was revoked, or replaced by an earlier registration", ErrUnauthenticated)
		case t.Uses > 0 && t.Used >= t.Uses:
			return fmt.Errorf("bootstrap token %q: %w: it has registered as many clusters as it may, %d; ask for another", t.Name, ErrForbidden, t.Used)
		}
	}
	if by.Cluster != "" && by.Cluster != r.Name {
		return fmt.Errorf("cluster %q: %w: this token registers cluster %q only", r.Name, ErrForbidden, by.Cluster)
	}
	labels := maps.Clone(r.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range by.Labels {
		if asked, there := labels[key]; there && asked != value {
			return fmt.Errorf("cluster %q: %w: this token registers clusters with %s=%s only", r.Name, ErrForbidden, key, value)
		}
		labels[key] = value
	}
	if len(labels) > 0 {
		r.Labels = labels
	}
	return nil
}

// agrees returns what a cluster that there is contradicts in a registration.
func (by Registrant) agrees(m *Member, r Registration) error {
	for key, value := range by.Labels {
		if m.Cluster.Labels[key] != value {
			return fmt.Errorf("cluster %q: %w: this token registers clusters with %s=%s only, and it is declared otherwise", r.Name, ErrForbidden, key, value)
		}
	}
	for key, value := range r.Labels {
		if has, there := m.Cluster.Labels[key]; !there || has != value {
			return fmt.Errorf("cluster %q: %w: it is declared without %s=%s; register it as it is declared, or leave the label out", r.Name, ErrConflict, key, value)
		}
	}
	if r.DNS != "" && r.DNS != m.Cluster.DNS {
		return fmt.Errorf("cluster %q: %w: it is declared with dns %q; register it as it is declared, or leave the dns out", r.Name, ErrConflict, m.Cluster.DNS)
	}
	return nil
}

// replayed is the valid token that this very request was answered with before;
// nil for none.
func (f *Fleet) replayed(by Registrant, r Registration, now time.Time) *Token {
	if by.Key == "" || by.Cluster != "" && by.Cluster != r.Name {
		return nil
	}
	proof := by.proof(r)
	for _, t := range f.Tokens().of(r.Name, now) {
		if t.Proof != nil && hmac.Equal(t.Proof, proof) && now.Sub(t.CreatedAt) < replayTime {
			return t
		}
	}
	return nil
}

// newToken is a cluster's own, with its secret. With a key the secret is derived, so
// that a repetition of the request, at whichever server and in whichever order, has
// the same answer though the secret is kept nowhere.
func (by Registrant) newToken(actor string, r Registration, now time.Time) (*Token, string) {
	t := &Token{ID: newTokenID(), Name: "cluster:" + r.Name, Role: RoleCluster, Cluster: r.Name, CreatedAt: now, CreatedBy: actor}
	secret := newSecret()
	if by.Key != "" {
		t.Salt, t.Proof = []byte(rand.Text()), by.proof(r)
		secret = by.derive(t.Salt, r)
	}
	t.Hash = HashToken(secret)
	return t, secret
}

// derive makes the token that a registration with a salt gives out.
func (by Registrant) derive(salt []byte, r Registration) string {
	sum := by.mac(append([]byte("token"), salt...), r)
	return tokenPrefix + base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum)
}

// proof tells a request by its credential and key, without keeping either.
func (by Registrant) proof(r Registration) []byte { return by.mac([]byte("proof"), r) }

func (by Registrant) mac(key []byte, r Registration) []byte {
	h := hmac.New(sha256.New, key)
	for _, part := range []string{by.Secret, by.Key, string(encode(r))} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return h.Sum(nil)
}
