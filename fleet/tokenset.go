package fleet

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// TokenSet is the tokens that the log has, valid or not. It is immutable: a
// request takes it once.
type TokenSet struct {
	byHash map[TokenHash]*Token
	byID   map[string]*Token
	people bool
}

func newTokenSet(all []*Token, t *tracker) *TokenSet {
	return (&TokenSet{}).with(all, t)
}

// with is the set with tokens that are new or others now.
func (s *TokenSet) with(changed []*Token, t *tracker) *TokenSet {
	if len(changed) == 0 && s.byID != nil {
		return s
	}
	next := &TokenSet{byHash: maps.Clone(s.byHash), byID: maps.Clone(s.byID), people: s.people}
	if next.byID == nil {
		next.byHash, next.byID = map[TokenHash]*Token{}, map[string]*Token{}
	}
	for _, k := range changed {
		one := *k
		one.use = t.use(k.ID)
		next.byHash[one.Hash], next.byID[one.ID] = &one, &one
		next.people = next.people || one.Role != RoleCluster && one.Role != RoleBootstrap
	}
	return next
}

// changed are tokens as a change of the log made them.
func changed(changes []TokenChange) []*Token {
	var all []*Token
	for _, c := range changes {
		all = append(all, c.After)
	}
	return all
}

// Tokens are those of the log.
func (f *Fleet) Tokens() *TokenSet { return f.tokens.Load() }

// setTokens takes up the tokens as they are at a generation, unless later ones are
// known.
func (f *Fleet) setTokens(at int64, next func(*TokenSet) *TokenSet) {
	f.tokensMu.Lock()
	defer f.tokensMu.Unlock()
	if at >= f.tokensAt {
		f.tokens.Store(next(f.tokens.Load()))
		f.tokensAt = at
	}
}

// readTokens takes up what became of tokens, whoever else is at work here: one that
// was revoked is not to wait until a release is rendered.
func (f *Fleet) readTokens(ctx context.Context) error {
	f.tokensMu.Lock()
	from := f.tokensAt
	f.tokensMu.Unlock()
	return ask(ctx, func(ctx context.Context) error {
		changed, now, err := f.cfg.Store.TokensSince(ctx, from)
		if err == nil {
			f.setTokens(now, func(s *TokenSet) *TokenSet { return s.with(changed, f.marks) })
		}
		return err
	})
}

// Find returns the token of that hash, whether it is valid or not; nil for none.
func (s *TokenSet) Find(h TokenHash) *Token { return s.byHash[h] }

// ForPeople tells whether there is, or ever was, a token of a person or a pipeline:
// one that does more than poll and register.
func (s *TokenSet) ForPeople() bool { return s.people }

// Admins tells whether any token of an admin is valid.
func (s *TokenSet) Admins(now time.Time) bool {
	for _, t := range s.byID {
		if t.Role == RoleAdmin && t.Valid(now) {
			return true
		}
	}
	return false
}

// List are the tokens, sorted by name and then by when they were created.
func (s *TokenSet) List() []*Token {
	return slices.SortedFunc(maps.Values(s.byID), func(a, b *Token) int {
		if a.Name != b.Name {
			return cmp.Compare(a.Name, b.Name)
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	})
}

// identified is the token of an ID, or the valid one of a name. A cluster that
// registers has its token called like itself, whatever else is called so: an
// ErrConflict then.
func (s *TokenSet) identified(idOrName string, now time.Time) (*Token, error) {
	if t := s.byID[idOrName]; t != nil {
		return t, nil
	}
	switch all := s.named(idOrName, now); len(all) {
	case 0:
		return nil, fmt.Errorf("token %q: %w", idOrName, ErrNotFound)
	case 1:
		return all[0], nil
	default:
		var which []string
		for _, t := range all {
			which = append(which, fmt.Sprintf("%s (%s)", t.ID, t.Role))
		}
		return nil, fmt.Errorf("token %q: %w: %d are called so; say which by its ID: %s", idOrName, ErrConflict, len(all), strings.Join(which, ", "))
	}
}

// named are the valid tokens of a name, sorted by ID.
func (s *TokenSet) named(name string, now time.Time) (all []*Token) {
	for _, t := range s.byID {
		if t.Name == name && t.Valid(now) {
			all = append(all, t)
		}
	}
	return slices.SortedFunc(slices.Values(all), func(a, b *Token) int { return cmp.Compare(a.ID, b.ID) })
}

// of are the valid tokens of a cluster's own.
func (s *TokenSet) of(cluster string, now time.Time) []*Token {
	var own []*Token
	for _, t := range s.byID {
		if t.Role == RoleCluster && t.Cluster == cluster && t.Valid(now) {
			own = append(own, t)
		}
	}
	return own
}

// endAll are the changes that end every token of a cluster.
func (s *TokenSet) endAll(cluster string, now time.Time) []TokenChange {
	var ended []TokenChange
	for _, t := range s.List() {
		if t.Cluster == cluster && t.RevokedAt == nil {
			ended = append(ended, t.revoked(now))
		}
	}
	slices.SortFunc(ended, func(a, b TokenChange) int { return cmp.Compare(a.Token, b.Token) })
	return ended
}
