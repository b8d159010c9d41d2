package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/server/auth"
)

func TestRulesGiveRolesByClaims(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	key := newSigner(t, "key")
	p.publish(key)
	h := p.trusting(`
rules:
- {claims: {repository: acme/fleet, ref: refs/heads/main}, role: operator, selector: {matchLabels: {region: eu}}}
- {claims: {repository: acme/fleet}, role: viewer}
- {claims: {groups: platform}, role: admin}
- {claims: {kubernetes.io.serviceaccount.name: tributary, kubernetes.io.namespace: flux-system}, role: viewer}
- {claims: {"https://acme.example.com/teams": eu}, role: viewer}
- {claims: {project_id: 9007199254740993}, role: viewer}
- {claims: {trusted: true}, role: viewer}
- {claims: {level: "7"}, role: viewer}
`)
	type m = map[string]any
	account := func(namespace string) m {
		return m{"kubernetes.io": m{"namespace": namespace, "serviceaccount": m{"name": "tributary"}}}
	}
	const none = ""
	for what, c := range map[string]struct {
		claims m
		role   string
	}{
		"the first rule":            {m{"repository": "acme/fleet", "ref": "refs/heads/main"}, "operator"},
		"all claims must hold":      {m{"repository": "acme/fleet", "ref": "refs/heads/pr"}, "viewer"},
		"one of them is not enough": {m{"ref": "refs/heads/main"}, none},
		"the whole text":            {m{"repository": "acme/fleet2"}, none},
		"in the same case":          {m{"repository": "Acme/fleet"}, none},
		"the first of several":      {m{"repository": "acme/fleet", "groups": []string{"platform"}}, "viewer"},
		"in a list":                 {m{"groups": []string{"all", "platform"}}, "admin"},
		"a list of one that is it":  {m{"groups": "platform"}, "admin"},
		"part of one in a list":     {m{"groups": []string{"platform-guests"}}, none},
		"lists in lists":            {m{"groups": []any{[]any{"platform"}, m{"platform": true}, nil}}, none},
		"nested":                    {account("flux-system"), "viewer"},
		"nested, another":           {account("default"), none},
		"not nested":                {m{"kubernetes.io.namespace": "flux-system", "kubernetes.io": m{"serviceaccount": m{"name": "tributary"}}}, "viewer"},
		"nested in a text":          {m{"kubernetes.io": "flux-system"}, none},
		"a URL":                     {m{"https://acme.example.com/teams": []string{"eu"}}, "viewer"},
		"a long number":             {m{"project_id": 9007199254740993}, "viewer"},
		"a number close to it":      {m{"project_id": 9007199254740992}, none},
		"a number in quotes":        {m{"project_id": "9007199254740993"}, none},
		"a bool":                    {m{"trusted": true}, "viewer"},
		"another bool":              {m{"trusted": false}, none},
		"a bool in quotes":          {m{"trusted": "true"}, none},
		"a text of digits":          {m{"level": "7"}, "viewer"},
		"digits that are no text":   {m{"level": 7}, none},
		"null":                      {m{"repository": nil, "groups": nil}, none},
		"nothing":                   {m{}, none},
	} {
		token := p.token(key, c.claims)
		reads, polls := h.get(releases, bearer(token)...).status == 200, h.poll(bearer(token)...) == 200
		writes := h.do(http.MethodDelete, "/api/v1/deltas/none", bearer(token)...).status != 403 // any other status
		if got, want := [...]bool{reads, polls, writes}, [...]bool{c.role != none, c.role != none, c.role == "operator" || c.role == "admin"}; got != want {
			t.Errorf("%s: reads, polls, writes = %v, want role %q: %v", what, got, c.role, want)
		}
	}
	detail := h.get(releases, bearer(p.token(key, nil))...).problem(t, 403, "forbidden")
	if !strings.Contains(detail, "none of the server's rules") {
		t.Errorf("detail = %q does not say so", detail)
	}
}

func TestRulesGiveNameAndScope(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	key := newSigner(t, "key")
	p.publish(key)
	eu := &fleet.Selector{MatchLabels: map[string]string{"region": "eu"}}
	h := p.trusting(`
nameClaim: email
rules: [{claims: {sub: ada}, role: operator, selector: {matchLabels: {region: eu}}}]`)
	for what, c := range map[string]struct {
		email any
		want  auth.Identity // zero if the token is refused
	}{
		"named":       {"ada@acme.example.com", auth.Identity{Name: "oidc:ada@acme.example.com", Role: auth.Operator, Scope: eu}},
		"nameless":    {nil, auth.Identity{}},
		"empty":       {"", auth.Identity{}},
		"no text":     {7, auth.Identity{}},
		"long":        {strings.Repeat("a", 201), auth.Identity{}},
		"unprintable": {"ada\n2026 forged", auth.Identity{}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+p.token(key, map[string]any{"email": c.email}))
		got, err := h.server.Who(r)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.want.Name != "") || err != nil && !errors.Is(err, fleet.ErrForbidden) {
			t.Errorf("%s = %+v, %v, want %+v", what, got, err, c.want)
		}
	}
}

func TestRulesFileReportsEveryMistake(t *testing.T) {
	t.Parallel()
	for content, want := range map[string][]string{
		"":                                {"rules: is missing"},
		"rule: []":                        {`unknown field "rule"`},
		"rules: [x]":                      {"rules[0]: ", "must have claims"},
		"rules: []\nrules: []":            {`"rules" already set`},
		"nameClaim: ''\nrules: []":        {"nameClaim: is empty"},
		"rules: [{claim: {a: b}}]":        {`rules[0]: json: unknown field "claim"`},
		"rules: [{role: viewer}]":         {"rules[0].claims: is missing"},
		"rules: [{claims: {a: b, a: c}}]": {`"a" already set`},
		`rules:
- {claims: {}, role: root}
- {claims: {a: b}, role: cluster}
- {claims: {a: b}, role: bootstrap}
- {claims: {a: [b], c: {d: e}, f: null}, role: viewer, selector: {matchLabels: {region: eu}}}
- {claims: {a: b}, role: operator, selector: {}}
- {claims: {a: b}, role: operator, selector: {matchExpressions: [{key: a, operator: Near}]}}`: {
			"rules[0].role: must be", "rules[0].claims: is missing", "rules[1].role: must be", "rules[2].role: must be",
			"rules[3].selector: is for", "rules[3].claims.a: must be", "rules[3].claims.c: must be", "rules[3].claims.f: must be",
			"rules[4].selector: matches every", `rules[5].selector: cannot be used: operator "Near"`,
		},
	} {
		file := writeFile(t, "rules.yaml", content)
		_, err := server.New(server.Config{
			Fleet:      controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}}),
			OIDCIssuer: "https://issuer.example.com", OIDCAudience: "tributary", OIDCRulesFile: file,
		})
		var problems fleet.Problems
		if !errors.As(err, &problems) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s\n= %v, want problems of the file", content, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s\n= %v\nwant %s in it", content, err, w)
			}
		}
		if len(want) > 3 && len(problems) != len(want) {
			t.Errorf("%d problems, want %d:\n%v", len(problems), len(want), err)
		}
	}
}

func TestRulesInTheDocumentationAreValid(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile("../docs/reference/credentials.md")
	must(t, err)
	howTo, err := os.ReadFile("../docs/how-to/control-access.md")
	must(t, err)
	found := 0
	for i, block := range strings.Split(string(reference)+string(howTo), "```") {
		rules, is := strings.CutPrefix(block, "yaml\n")
		if i%2 == 0 || !is || !strings.Contains(rules, "rules:") {
			continue
		}
		found++
		newServer(t, server.Config{
			OIDCIssuer: "https://issuer.example.com", OIDCAudience: "tributary", OIDCRulesFile: writeFile(t, "rules.yaml", rules),
		})
	}
	if found != 4 {
		t.Errorf("%d examples, want 4", found)
	}
}

func TestRulesAreReloaded(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	key := newSigner(t, "key")
	p.publish(key)
	file := writeFile(t, "rules.yaml", everybodyViews)
	h := p.trusting("", func(c *server.Config) { c.OIDCRulesFile, c.Reload = file, time.Millisecond })
	token := p.token(key, nil)
	h.get(releases, bearer(token)...).wantOK(t, &struct{}{})
	replaced["renamed over"](t, file, "rules: [{claims: {sub: eve}, role: viewer}]")
	eventually(t, func() bool { return h.get(releases, bearer(token)...).status == 403 })
	replaced["renamed over"](t, file, "rules: [{claims: {sub: ada}}]")
	eventually(t, func() bool { return strings.Contains(h.logs.String(), "rules[0].role: must be") })
	h.get(releases, bearer(token)...).problem(t, 403, "forbidden")
}
