package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
)

// TokenRequest asks for a token.
type TokenRequest struct {
	// Name may be empty: then it gets one.
	Name     string            `json:"name,omitempty"`
	Role     Role              `json:"role"`
	Cluster  string            `json:"cluster,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Uses     int               `json:"uses,omitempty"`
	Selector *Selector         `json:"selector,omitempty"`
	// TTL is how long the token is valid; 0 for ever.
	TTL time.Duration `json:"-"`
}

// NewToken is a token that was just made, with the only copy of its secret.
type NewToken struct {
	Token
	Secret     string
	Generation int64
}

// longestName bounds a token's name, in bytes.
const longestName = 128

// reserved are the names of those who act without a token of the log. Clusters and
// who comes by OpenID Connect have a colon in theirs.
var reserved = []string{SourceActor, OwnActor, "admin", "anonymous"}

// check says what is wrong with a request.
func (r TokenRequest) check() Problems {
	var problems Problems
	wrong := func(field, format string, args ...any) {
		problems = append(problems, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if len(r.Name) > longestName || strings.ContainsFunc(r.Name, func(c rune) bool { return !unicode.IsPrint(c) || c == '/' || c == ':' }) {
		wrong("name", "must be at most %d printable characters without / and :", longestName)
	}
	if slices.Contains(reserved, r.Name) {
		wrong("name", "%q is what the history calls somebody else", r.Name)
	}
	switch r.Role {
	case RoleCluster, RoleBootstrap, RoleViewer, RoleOperator, RoleAdmin:
	default:
		wrong("role", "%q must be cluster, bootstrap, viewer, operator or admin", r.Role)
	}
	switch {
	case r.Role == RoleCluster && r.Cluster == "":
		wrong("cluster", "is missing: the one cluster that polls with the token")
	case r.Cluster != "" && r.Role != RoleCluster && r.Role != RoleBootstrap:
		wrong("cluster", "belongs to the roles cluster and bootstrap only")
	case r.Cluster != "" && len(validation.IsDNS1123Label(r.Cluster)) > 0:
		wrong("cluster", "%q must be a cluster's name", r.Cluster)
	}
	if r.Role != RoleBootstrap && (len(r.Labels) > 0 || r.Uses != 0) {
		wrong("labels", "and uses belong to the role bootstrap only")
	}
	if r.Role != RoleOperator && r.Selector != nil {
		wrong("selector", "belongs to the role operator only")
	}
	if r.Uses < 0 {
		wrong("uses", "must not be less than 0")
	}
	if r.TTL < 0 {
		wrong("ttl", "must be more than 0")
	}
	if r.Selector != nil {
		if _, err := r.Selector.Compile(); err != nil {
			wrong("selector", "%s", err)
		} else if len(r.Selector.MatchLabels)+len(r.Selector.MatchExpressions) == 0 {
			wrong("selector", "matches every cluster; leave it out, or name labels under matchLabels or matchExpressions")
		}
	}
	return append(problems, checkLabels(r.Labels)...)
}

// checkLabels says which are no labels of Kubernetes.
func checkLabels(labels map[string]string) Problems {
	var problems Problems
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if wrong := WrongLabel(key, labels[key]); wrong != "" {
			problems = append(problems, Problem{Field: "labels." + key, Message: wrong})
		}
	}
	if len(labels) > MaxLabels {
		problems = append(problems, Problem{Field: "labels", Message: fmt.Sprintf("must be at most %d", MaxLabels)})
	}
	return problems
}

// CreateToken makes a token. A name that a valid one has is an ErrConflict.
func (f *Fleet) CreateToken(ctx context.Context, w Write, r TokenRequest) (*NewToken, error) {
	if problems := r.check(); len(problems) > 0 {
		return nil, problems
	}
	made, id := &NewToken{Secret: newSecret()}, newTokenID()
	if r.Name == "" {
		r.Name = cmp.Or(r.Cluster, string(r.Role)) + "-" + id
	}
	err := f.writeTokens(ctx, w, func(now time.Time) ([]TokenChange, error) {
		if t, err := f.Tokens().identified(r.Name, now); errors.Is(err, ErrConflict) || err == nil && t.Valid(now) {
			return nil, fmt.Errorf("token %q: %w: there is one of that name; revoke it, or choose another", r.Name, ErrConflict)
		}
		made.Token = Token{
			ID: id, Name: r.Name, Role: r.Role, Cluster: r.Cluster, Labels: r.Labels, Selector: r.Selector, Uses: r.Uses,
			CreatedAt: now, CreatedBy: w.Actor, TokenSecret: TokenSecret{Hash: HashToken(made.Secret)},
		}
		if r.TTL > 0 {
			end := now.Add(r.TTL)
			made.ExpiresAt = &end
		}
		t := made.Token
		return []TokenChange{{Token: t.ID, After: &t}}, nil
	}, &made.Generation)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// RevokeToken ends a token, by its ID or name. One that has ended stays as it is. It
// is an ErrConflict where several are called so.
func (f *Fleet) RevokeToken(ctx context.Context, w Write, idOrName string) (generation int64, err error) {
	err = f.writeTokens(ctx, w, func(now time.Time) ([]TokenChange, error) {
		t, err := f.Tokens().identified(idOrName, now)
		if err != nil || t.RevokedAt != nil {
			return nil, err
		}
		return []TokenChange{t.revoked(now)}, nil
	}, &generation)
	return generation, err
}

// revoked is the change that ends a token.
func (t *Token) revoked(now time.Time) TokenChange {
	after := *t
	after.RevokedAt = &now
	return TokenChange{Token: t.ID, Before: t, After: &after}
}

// writeTokens makes a change of tokens alone, for which there need be no release.
func (f *Fleet) writeTokens(ctx context.Context, w Write, devise func(now time.Time) ([]TokenChange, error), generation *int64) error {
	return f.inTurn(ctx, func() error {
		changes, err := devise(f.now())
		if err != nil {
			return err
		}
		*generation = f.head.generation
		if w.DryRun || len(changes) == 0 {
			return nil
		}
		c := &Change{At: f.now(), Kind: TokensChanged, Actor: w.Actor, Reason: w.Reason, Tokens: changes}
		v := f.current.Load()
		current := v != nil && v.generation == f.head.generation
		if err := f.append(ctx, c); err != nil {
			return err
		}
		*generation = c.Generation
		if current {
			next := *v
			next.generation = c.Generation
			f.publish(&next)
		}
		return nil
	})
}

// TokenUses returns when tokens were last used, by ID: as far as other servers have
// saved it, and this one knows.
func (f *Fleet) TokenUses(ctx context.Context) map[string]time.Time {
	all := map[string]time.Time{}
	if f.cfg.Store != nil {
		var saved map[string]time.Time
		err := askFor(ctx, extraTime, func(ctx context.Context) (err error) {
			saved, err = f.cfg.Store.Uses(ctx)
			return err
		})
		if err != nil {
			f.log.Warn("last uses of tokens at other servers are not known", "err", err)
		}
		maps.Copy(all, saved)
	}
	for id, t := range f.Tokens().byID {
		if at := time.UnixMicro(t.use.Load()).UTC(); at.After(all[id]) && t.use.Load() != 0 {
			all[id] = at
		}
	}
	return all
}
