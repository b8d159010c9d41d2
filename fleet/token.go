package fleet

import (
	"crypto/sha256"
	"time"
)

// Role is what a credential is for.
type Role string

// A bootstrap credential registers clusters, and a cluster's reads what that cluster is served.
// Of viewer, operator and admin each may do what the one before it may.
const (
	RoleBootstrap Role = "bootstrap"
	RoleCluster   Role = "cluster"
	RoleViewer    Role = "viewer"
	RoleOperator  Role = "operator"
	RoleAdmin     Role = "admin"
)

// Token is a bearer token as the log has it: what it is for, and its hash. It is immutable.
type Token struct {
	// ID distinguishes tokens; Name is what history and logs call its user.
	ID   string `json:"id"`
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Cluster is the cluster whose token it is, for the role cluster. A bootstrap token that
	// has one registers that cluster only.
	Cluster string `json:"cluster,omitempty"`
	// Labels are those of every cluster that a bootstrap token registers.
	Labels map[string]string `json:"labels,omitempty"`
	// Selector limits the clusters that an operator may change.
	Selector *Selector `json:"selector,omitempty"`
	// Uses is how many clusters a bootstrap token may register, 0 for any number, and Used how
	// many it has registered.
	Uses int `json:"uses,omitempty"`
	Used int `json:"used,omitempty"`

	CreatedAt time.Time  `json:"createdAt"`
	CreatedBy string     `json:"createdBy,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	RevokedAt *time.Time `json:"revokedAt,omitempty"`

	TokenSecret `json:"-"`
}

// TokenSecret is the part of a token that only the store and the comparison may see.
type TokenSecret struct {
	// Hash is the token's SHA-256.
	Hash TokenHash
	// Salt and Proof belong to a token that a registration gave out. The salt and the request
	// together give the token again, for a client that repeats the request; the proof shows
	// that it is the same request.
	Salt  []byte
	Proof []byte
}

// TokenHash is the SHA-256 of a token. A fast hash is enough: tokens are long and random, so
// that nobody can guess one from its hash, and every poll pays for it.
type TokenHash = [sha256.Size]byte

// HashToken returns the hash by which a token is found.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// Valid reports whether the token may be used now.
func (t *Token) Valid(now time.Time) bool {
	return t.RevokedAt == nil && (t.ExpiresAt == nil || now.Before(*t.ExpiresAt))
}
