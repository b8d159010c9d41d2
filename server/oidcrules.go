package server

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

// oidcRules are what the tokens of the issuer may do, as their file says.
type oidcRules struct {
	file    string
	current atomic.Pointer[ruleSet]
}

// use takes the contents of the file, all or nothing.
func (o *oidcRules) use(contents [][]byte) error {
	all, err := parseRules(o.file, contents[0])
	if err != nil {
		return err
	}
	o.current.Store(all)
	return nil
}

type ruleSet struct {
	nameClaim string
	rules     []rule
}

// rule gives whoever has all the claims a role.
type rule struct {
	claims map[string]any
	who    identity
}

const longestName = 200

// identify tells who has these claims: the first rule that matches decides.
func (s *ruleSet) identify(claims map[string]any) (identity, error) {
	value, _ := claimAt(claims, s.nameClaim)
	name, is := value.(string)
	switch {
	case !is || name == "":
		return identity{}, fmt.Errorf("%w: the token has no text under the claim %q, by which callers are named here", fleet.ErrForbidden, s.nameClaim)
	case len(name) > longestName || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return identity{}, fmt.Errorf("%w: the token's claim %q is too long for a name, or not printable", fleet.ErrForbidden, s.nameClaim)
	}
	for _, r := range s.rules {
		if r.matches(claims) {
			who := r.who
			who.name = "oidc:" + name
			return who, nil
		}
	}
	return identity{}, fmt.Errorf("%w: the token is good, but none of the server's rules (--oidc-rules-file) matches its claims", fleet.ErrForbidden)
}

func (r rule) matches(claims map[string]any) bool {
	for path, want := range r.claims {
		got, found := claimAt(claims, path)
		if !found || !holds(got, want) {
			return false
		}
	}
	return true
}

// claimAt follows a dotted path. Keys may have dots of their own, as
// kubernetes.io has: the longest key that leads to something is taken.
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

// holds tells whether a claim is want, or a list with it. A text is never a
// number or a bool that is written like it.
func holds(got, want any) bool {
	if list, is := got.([]any); is {
		return slices.ContainsFunc(list, func(one any) bool { return scalar(one) && one == want })
	}
	return scalar(got) && got == want
}

// scalar tells whether value can be compared. Numbers are kept as they are written.
func scalar(value any) bool {
	switch value.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

// ruleEntry is one of the file's.
type ruleEntry struct {
	Claims   map[string]any  `json:"claims"`
	Role     string          `json:"role"`
	Selector *fleet.Selector `json:"selector"`
}

// parseRules reads a rules file strictly. What is wrong comes all at once.
func parseRules(file string, content []byte) (*ruleSet, error) {
	t := tokenReader{file: file}
	var document struct {
		NameClaim *string           `json:"nameClaim"`
		Rules     []json.RawMessage `json:"rules"`
	}
	all := &ruleSet{nameClaim: "sub"}
	err := yaml.UnmarshalStrict(content, &document)
	switch {
	case err != nil:
		t.wrong("", "%s", err)
	case document.Rules == nil:
		t.wrong("rules", "is missing: list the rules under it, or write `rules: []` for none")
	}
	if document.NameClaim != nil {
		if all.nameClaim = *document.NameClaim; all.nameClaim == "" {
			t.wrong("nameClaim", "is empty: name a claim, or drop it for sub")
		}
	}
	for i, raw := range document.Rules {
		all.rules = append(all.rules, t.rule(fmt.Sprintf("rules[%d]", i), raw))
	}
	if t.problems != nil {
		return nil, t.problems
	}
	return all, nil
}

func (t *tokenReader) rule(field string, raw json.RawMessage) rule {
	var e ruleEntry
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	strict.UseNumber()
	if err := strict.Decode(&e); err != nil {
		t.wrong(field, "%s: must have claims, role and, for the role operator, perhaps selector", err)
		return rule{}
	}
	who := identity{role: roles[e.Role], scope: e.Selector}
	if who.role < roleViewer {
		t.wrong(field+".role", "must be viewer, operator or admin")
	}
	if remedy := checkScope(who); remedy != "" {
		t.wrong(field+".selector", "%s", remedy)
	}
	if len(e.Claims) == 0 {
		t.wrong(field+".claims", "is missing: without any the rule would hold for everybody who has a token of the issuer")
	}
	for _, path := range slices.Sorted(maps.Keys(e.Claims)) {
		if !scalar(e.Claims[path]) {
			t.wrong(field+".claims."+path, "must be a text, a number or a bool; for a list name one thing that must be in it")
		}
	}
	return rule{claims: e.Claims, who: who}
}
