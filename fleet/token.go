package fleet

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"sync/atomic"
	"time"
)

// Role is what a credential is for.
type Role string

// Each of viewer, operator and admin may do what the one before it may. A
// cluster's reads what that cluster is served, and bootstrap registers clusters.
const (
	RoleBootstrap Role = "bootstrap"
	RoleCluster   Role = "cluster"
	RoleViewer    Role = "viewer"
	RoleOperator  Role = "operator"
	RoleAdmin     Role = "admin"
)

// Token is a bearer token as it is kept: what it is for, and its hash. It is not
// written to once it is part of the log.
type Token struct {
	// ID tells tokens apart; Name is what history and logs call who sends it.
	ID   string `json:"id"`
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Cluster is whose token it is, for the role cluster; a bootstrap token that has
	// one registers that cluster only.
	Cluster string `json:"cluster,omitempty"`
	// Labels are those that every cluster has which a bootstrap token registers.
	Labels map[string]string `json:"labels,omitempty"`
	// Selector limits what an operator may change to the clusters that it matches.
	Selector *Selector `json:"selector,omitempty"`
	// Uses is how many clusters a bootstrap token registers, 0 for any number, and
	// Used how many it has.
	Uses int `json:"uses,omitempty"`
	Used int `json:"used,omitempty"`

	CreatedAt time.Time  `json:"createdAt"`
	CreatedBy string     `json:"createdBy,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	RevokedAt *time.Time `json:"revokedAt,omitempty"`

	TokenSecret `json:"-"`

	use *atomic.Int64 // when it was last used, in microseconds; shared by all versions
}

// TokenSecret is what of a token only the store and the one who compares may see.
type TokenSecret struct {
	// Hash is the token's SHA-256.
	Hash TokenHash
	// Salt and Proof are of a token that a registration gave out. From the salt and
	// what the request held the token is made again, for who repeats that request;
	// the proof tells that it is the same one.
	Salt  []byte
	Proof []byte
}

// TokenHash is the SHA-256 of a token. A fast hash will do: tokens are long and
// random, so nobody can guess one from it, and every poll pays for it.
type TokenHash = [sha256.Size]byte

// HashToken returns the hash by which a token is found.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// TokenChange is what became of one token; nil stands for none.
type TokenChange struct {
	Token  string `json:"token"`
	Before *Token `json:"before,omitempty"`
	After  *Token `json:"after,omitempty"`
}

// Valid tells whether the token may be used now.
func (t *Token) Valid(now time.Time) bool { return t.RevokedAt == nil && !t.expired(now) }

func (t *Token) expired(now time.Time) bool { return t.ExpiresAt != nil && !now.Before(*t.ExpiresAt) }

// Touch notes that the token is used.
func (t *Token) Touch(now time.Time) { t.use.Store(now.UnixMicro()) }

// tokenPrefix lets scanners of secrets know what they have found.
const tokenPrefix = "trb_"

// newSecret is a token that nobody can guess.
func newSecret() string { return tokenPrefix + rand.Text() + rand.Text() }

// newTokenID is short, and safe in a path.
func newTokenID() string { return strings.ToLower(rand.Text()[:12]) }
