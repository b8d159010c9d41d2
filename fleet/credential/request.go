package credential

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tributary-gitops/tributary/fleet"
)

// Request asks for a token. Its fields mean what those of [fleet.Token] mean.
type Request struct {
	// Name may be empty: the token gets a unique name then.
	Name     string
	Role     fleet.Role
	Cluster  string
	Labels   map[string]string
	Uses     int
	Selector *fleet.Selector
	// TTL is how long the token is valid; 0 for no end.
	TTL time.Duration
}

// NewToken is a token that was just created, with the only copy of its secret.
type NewToken struct {
	fleet.Token
	Secret string
	// Generation is that of the change that created it, once it has been appended.
	Generation int64
}

// maxNameBytes limits the name of a token.
const maxNameBytes = 128

// reservedNames are what the history calls actors without a token of the log. The names of
// clusters and of OpenID Connect users contain a colon, which no token's name may.
var reservedNames = []string{fleet.SourceActor, fleet.OwnActor, "admin", "anonymous"}

// Check returns what is wrong with the request, whatever tokens there are.
func (r Request) Check() fleet.Problems {
	var problems fleet.Problems
	wrong := func(field, format string, args ...any) {
		problems = append(problems, fleet.Problem{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if len(r.Name) > maxNameBytes || strings.ContainsFunc(r.Name, func(c rune) bool { return !unicode.IsPrint(c) || c == '/' || c == ':' }) {
		wrong("name", "must be at most %d bytes of printable characters without / and :", maxNameBytes)
	}
	if slices.Contains(reservedNames, r.Name) {
		wrong("name", "%q is reserved: the change history uses it for another actor", r.Name)
	}
	switch r.Role {
	case fleet.RoleCluster, fleet.RoleBootstrap, fleet.RoleViewer, fleet.RoleOperator, fleet.RoleAdmin:
	default:
		wrong("role", "%q must be cluster, bootstrap, viewer, operator or admin", r.Role)
	}
	switch {
	case r.Role == fleet.RoleCluster && r.Cluster == "":
		wrong("cluster", "is missing: name the cluster that polls with the token")
	case r.Cluster != "" && r.Role != fleet.RoleCluster && r.Role != fleet.RoleBootstrap:
		wrong("cluster", "is allowed with the roles cluster and bootstrap only")
	case r.Cluster != "" && len(validation.IsDNS1123Label(r.Cluster)) > 0:
		wrong("cluster", "%q must be the name of a cluster", r.Cluster)
	}
	if r.Role != fleet.RoleBootstrap && (len(r.Labels) > 0 || r.Uses != 0) {
		wrong("labels", "are allowed with the role bootstrap only, and so are uses")
	}
	if r.Role != fleet.RoleOperator && r.Selector != nil {
		wrong("selector", "is allowed with the role operator only")
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
	return append(problems, fleet.CheckLabels(r.Labels)...)
}

// New returns a token as the request asks for it, created by actor, and the change that adds it
// to the log. What Check finds is returned as Problems. It is an ErrConflict where a valid token
// has the name, or where it is the ID of one.
func (r Request) New(set *Set, actor string, now time.Time) (*NewToken, fleet.TokenChange, error) {
	if problems := r.Check(); len(problems) > 0 {
		return nil, fleet.TokenChange{}, problems
	}
	id, secret := newTokenID(), newSecret()
	if r.Name == "" {
		r.Name = cmp.Or(r.Cluster, string(r.Role)) + "-" + id
	}
	if t, err := set.Identified(r.Name, now); errors.Is(err, fleet.ErrConflict) || err == nil && t.Valid(now) {
		return nil, fleet.TokenChange{}, fmt.Errorf("token %q: %w: a token with this name exists; revoke it, or choose another name", r.Name, fleet.ErrConflict)
	}
	t := fleet.Token{
		ID: id, Name: r.Name, Role: r.Role, Cluster: r.Cluster, Labels: r.Labels, Selector: r.Selector, Uses: r.Uses,
		CreatedAt: now, CreatedBy: actor, TokenSecret: fleet.TokenSecret{Hash: fleet.HashToken(secret)},
	}
	if r.TTL > 0 {
		end := now.Add(r.TTL)
		t.ExpiresAt = &end
	}
	return &NewToken{Token: t, Secret: secret}, fleet.TokenChange{Token: id, After: &t}, nil
}

// secretPrefix lets secret scanners recognize a token.
const secretPrefix = "trb_"

// newSecret returns a token that nobody can guess.
func newSecret() string { return secretPrefix + rand.Text() + rand.Text() }

// newTokenID returns an ID that is short and safe in a URL path.
func newTokenID() string { return strings.ToLower(rand.Text()[:12]) }
