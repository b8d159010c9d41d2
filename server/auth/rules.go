package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// rulesFile says what the issuer's tokens may do.
type rulesFile struct {
	file    string
	current atomic.Pointer[ruleSet]
}

// use takes the content of the file, all or nothing.
func (f *rulesFile) use(contents [][]byte) error {
	all, err := parseRules(f.file, contents[0])
	if err != nil {
		return err
	}
	f.current.Store(all)
	return nil
}

type ruleSet struct {
	nameClaim string
	rules     []rule
}

// rule gives a role to a token that has all the claims.
type rule struct {
	claims map[string]any
	who    Identity
}

const maxName = 200 // bytes

// identify returns the identity of a token with these claims, by the first rule that
// matches.
func (s *ruleSet) identify(claims map[string]any) (Identity, error) {
	value, _ := claimAt(claims, s.nameClaim)
	name, is := value.(string)
	switch {
	case !is || name == "":
		return Identity{}, fmt.Errorf("%w: the token has no text in the claim %q, which names callers here", fleet.ErrForbidden, s.nameClaim)
	case len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return Identity{}, fmt.Errorf("%w: the token's claim %q is too long for a name, or not printable", fleet.ErrForbidden, s.nameClaim)
	}
	for _, r := range s.rules {
		if r.matches(claims) {
			who := r.who
			who.Name = "oidc:" + name
			return who, nil
		}
	}
	return Identity{}, fmt.Errorf("%w: the token is valid, but none of the server's rules (--oidc-rules-file) matches its claims", fleet.ErrForbidden)
}

func (r rule) matches(claims map[string]any) bool {
	for path, want := range r.claims {
		got, found := claimAt(claims, path)
		if !found || !claimIs(got, want) {
			return false
		}
	}
	return true
}

// claimAt follows a dotted path. A key may contain dots itself, such as kubernetes.io:
// the longest key that leads to a value wins.
func claimAt(claims map[string]any, path string) (any, bool) {
	if value, found := claims[path]; found {
		return value, true
	}
	for dot := strings.LastIndexByte(path, '.'); dot > 0; dot = strings.LastIndexByte(path[:dot], '.') {
		inner, is := claims[path[:dot]].(map[string]any)
		if !is {
			continue
		}
		if value, found := claimAt(inner, path[dot+1:]); found {
			return value, true
		}
	}
	return nil, false
}

// claimIs reports whether a claim is want, or a list that contains it. A text never
// equals a number or a bool that is written like it.
func claimIs(got, want any) bool {
	if list, is := got.([]any); is {
		return slices.ContainsFunc(list, func(one any) bool { return isScalar(one) && one == want })
	}
	return isScalar(got) && got == want
}

// isScalar reports whether value can be compared. Numbers are kept as they are written.
func isScalar(value any) bool {
	switch value.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

// ruleEntry is an entry of a rules file.
type ruleEntry struct {
	Claims   map[string]any  `json:"claims"`
	Role     string          `json:"role"`
	Selector *fleet.Selector `json:"selector"`
}

// parseRules parses a rules file strictly. It returns all mistakes at once.
func parseRules(file string, content []byte) (*ruleSet, error) {
	found := problems{file: file}
	var document struct {
		NameClaim *string           `json:"nameClaim"`
		Rules     []json.RawMessage `json:"rules"`
	}
	all := &ruleSet{nameClaim: "sub"}
	err := yaml.UnmarshalStrict(content, &document)
	switch {
	case err != nil:
		found.add("", "%s", err)
	case document.Rules == nil:
		found.add("rules", "is missing: list the rules under it, or write `rules: []` for none")
	}
	if document.NameClaim != nil {
		if all.nameClaim = *document.NameClaim; all.nameClaim == "" {
			found.add("nameClaim", "is empty: name a claim, or remove it for sub")
		}
	}
	for i, raw := range document.Rules {
		all.rules = append(all.rules, parseRule(&found, fmt.Sprintf("rules[%d]", i), raw))
	}
	if found.all != nil {
		return nil, found.all
	}
	return all, nil
}

func parseRule(found *problems, field string, raw json.RawMessage) rule {
	var e ruleEntry
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	strict.UseNumber()
	if err := strict.Decode(&e); err != nil {
		found.add(field, "%s: must have claims, role and, for the role operator, an optional selector", err)
		return rule{}
	}
	who := Identity{Role: roles[e.Role], Scope: e.Selector}
	if who.Role < Viewer {
		found.add(field+".role", "must be viewer, operator or admin")
	}
	if remedy := checkScope(who); remedy != "" {
		found.add(field+".selector", "%s", remedy)
	}
	if len(e.Claims) == 0 {
		found.add(field+".claims", "is missing: without claims the rule would match everybody who has a token of the issuer")
	}
	for _, path := range slices.Sorted(maps.Keys(e.Claims)) {
		if !isScalar(e.Claims[path]) {
			found.add(field+".claims."+path, "must be a text, a number or a bool; for a list, name one item that it must contain")
		}
	}
	return rule{claims: e.Claims, who: who}
}
