package credential

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Set is the tokens of the log, valid or not. It is immutable, and its zero value is empty. A
// request takes it once.
type Set struct {
	byHash map[fleet.TokenHash]*fleet.Token
	byID   map[string]*fleet.Token
	// forPeople reports that some token has another role than cluster and bootstrap.
	forPeople bool
}

// NewSet returns the set of the given tokens.
func NewSet(tokens []*fleet.Token) *Set { return (&Set{}).With(tokens) }

// With returns the set with tokens that are new or have changed.
func (s *Set) With(changed []*fleet.Token) *Set {
	if len(changed) == 0 {
		return s
	}
	next := &Set{byHash: maps.Clone(s.byHash), byID: maps.Clone(s.byID), forPeople: s.forPeople}
	if next.byID == nil {
		next.byHash, next.byID = map[fleet.TokenHash]*fleet.Token{}, map[string]*fleet.Token{}
	}
	for _, t := range changed {
		next.byHash[t.Hash], next.byID[t.ID] = t, t
		next.forPeople = next.forPeople || t.Role != fleet.RoleCluster && t.Role != fleet.RoleBootstrap
	}
	return next
}

// Apply returns the set after the token changes of one entry of the log.
func (s *Set) Apply(changes []fleet.TokenChange) *Set {
	var changed []*fleet.Token
	for _, c := range changes {
		changed = append(changed, c.After)
	}
	return s.With(changed)
}

// Find returns the token with that hash, valid or not; nil for none.
func (s *Set) Find(h fleet.TokenHash) *fleet.Token { return s.byHash[h] }

// ByID returns the token with that ID, valid or not; nil for none.
func (s *Set) ByID(id string) *fleet.Token { return s.byID[id] }

// ForPeople reports whether there is or ever was a token for a person or a pipeline: one that
// does more than poll and register.
func (s *Set) ForPeople() bool { return s.forPeople }

// Admins reports whether any token of an admin is valid.
func (s *Set) Admins(now time.Time) bool {
	for _, t := range s.byID {
		if t.Role == fleet.RoleAdmin && t.Valid(now) {
			return true
		}
	}
	return false
}

// List returns all tokens, sorted by name and then by creation time.
func (s *Set) List() []*fleet.Token {
	return slices.SortedFunc(maps.Values(s.byID), func(a, b *fleet.Token) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
}

// Identified returns the token with that ID, or the valid one with that name. It is an
// ErrNotFound where there is none, and an ErrConflict where several valid tokens have the name.
func (s *Set) Identified(idOrName string, now time.Time) (*fleet.Token, error) {
	if t := s.byID[idOrName]; t != nil {
		return t, nil
	}
	switch named := s.valid(now, func(t *fleet.Token) bool { return t.Name == idOrName }); len(named) {
	case 0:
		return nil, fmt.Errorf("token %q: %w", idOrName, fleet.ErrNotFound)
	case 1:
		return named[0], nil
	default:
		var ids []string
		for _, t := range named {
			ids = append(ids, fmt.Sprintf("%s (%s)", t.ID, t.Role))
		}
		return nil, fmt.Errorf("token %q: %w: %d tokens have this name; give the ID of one: %s",
			idOrName, fleet.ErrConflict, len(named), strings.Join(ids, ", "))
	}
}

// Of returns the valid tokens of the role cluster that belong to a cluster, sorted by ID.
func (s *Set) Of(cluster string, now time.Time) []*fleet.Token {
	return s.valid(now, func(t *fleet.Token) bool { return t.Role == fleet.RoleCluster && t.Cluster == cluster })
}

// valid returns the valid tokens that match, sorted by ID.
func (s *Set) valid(now time.Time, match func(*fleet.Token) bool) []*fleet.Token {
	var found []*fleet.Token
	for _, t := range s.byID {
		if match(t) && t.Valid(now) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b *fleet.Token) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

// Revoke returns the change that ends the token with that ID or name, and no change where the
// token was revoked before. The errors are those of Identified.
func (s *Set) Revoke(idOrName string, now time.Time) ([]fleet.TokenChange, error) {
	t, err := s.Identified(idOrName, now)
	if err != nil || t.RevokedAt != nil {
		return nil, err
	}
	return []fleet.TokenChange{revoke(t, now)}, nil
}

// EndAll returns the changes that end every token that names a cluster, also the bootstrap
// tokens that are for it alone. They are sorted by ID.
func (s *Set) EndAll(cluster string, now time.Time) []fleet.TokenChange {
	var ended []fleet.TokenChange
	for _, t := range s.byID {
		if t.Cluster == cluster && t.RevokedAt == nil {
			ended = append(ended, revoke(t, now))
		}
	}
	slices.SortFunc(ended, func(a, b fleet.TokenChange) int { return cmp.Compare(a.Token, b.Token) })
	return ended
}

// revoke returns the change that ends a token.
func revoke(t *fleet.Token, now time.Time) fleet.TokenChange {
	after := *t
	after.RevokedAt = &now
	return fleet.TokenChange{Token: t.ID, Before: t, After: &after}
}
