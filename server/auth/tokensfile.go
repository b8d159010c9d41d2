package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// adminToken is the token of an admin in a file, such as a mounted Secret: the first
// credential, with which others are created.
type adminToken struct {
	file    string
	current atomic.Pointer[digest]
}

// minAdminToken keeps out what could be guessed, in bytes.
const minAdminToken = 16

// use takes the content of the file.
func (t *adminToken) use(contents [][]byte) error {
	token := bytes.TrimSpace(contents[0])
	if len(token) < minAdminToken || bytes.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%s: must contain one token of at least %d printable characters, such as the output of openssl rand -hex 32", t.file, minAdminToken)
	}
	hash := digest(fleet.HashToken(string(token)))
	t.current.Store(&hash)
	return nil
}

func (t *adminToken) matches(hash digest) bool {
	return subtle.ConstantTimeCompare(t.current.Load()[:], hash[:]) == 1
}

// tokensFile has the credentials of a tokens file, by the hash of the token. The hash is
// a fast one, since every poll pays for it: tokens are long and random, so nobody can
// guess them from it.
type tokensFile struct {
	file    string
	current atomic.Pointer[map[digest]listedToken]
}

type digest = [sha256.Size]byte

type listedToken struct {
	Identity
	hash digest
}

// find returns the owner of the token with a hash. A caller that guesses cannot steer a
// look-up by hash, and its last step takes the same time for every token.
func (t *tokensFile) find(sum digest) (Identity, bool) {
	found := (*t.current.Load())[sum]
	if subtle.ConstantTimeCompare(found.hash[:], sum[:]) != 1 {
		return Identity{}, false
	}
	return found.Identity, true
}

// use takes the content of the file, all or nothing.
func (t *tokensFile) use(contents [][]byte) error {
	all, err := parseTokens(t.file, contents[0])
	if err != nil {
		return err
	}
	t.current.Store(&all)
	return nil
}

// tokenEntry is an entry of a tokens file.
type tokenEntry struct {
	Name     string            `json:"name"`
	Role     string            `json:"role"`
	Cluster  string            `json:"cluster"`
	Labels   map[string]string `json:"labels"`
	Selector *fleet.Selector   `json:"selector"`
	Hash     string            `json:"hash"`
}

// problems collects everything that is wrong with a file.
type problems struct {
	file string
	all  fleet.Problems
}

func (p *problems) add(field, format string, args ...any) {
	p.all = append(p.all, fleet.Problem{File: p.file, Field: field, Message: fmt.Sprintf(format, args...)})
}

// tokenParser collects what a tokens file says, and everything that is wrong with it.
type tokenParser struct {
	problems
	found map[digest]listedToken
	names map[string]bool
}

// parseTokens parses a tokens file strictly. It returns all mistakes at once, as
// fleet.Problems that never quote a hash, which might be a token by mistake.
func parseTokens(file string, content []byte) (map[digest]listedToken, error) {
	t := tokenParser{problems: problems{file: file}, found: map[digest]listedToken{}, names: map[string]bool{}}
	var document struct {
		Tokens []json.RawMessage `json:"tokens"`
	}
	err := yaml.UnmarshalStrict(content, &document)
	switch {
	case err != nil:
		t.add("", "%s", err)
	case document.Tokens == nil:
		t.add("tokens", "is missing: list the tokens under it, or write `tokens: []` for none")
	}
	for i, raw := range document.Tokens {
		t.parse(fmt.Sprintf("tokens[%d]", i), raw)
	}
	if t.all != nil {
		return nil, t.all
	}
	return t.found, nil
}

func (t *tokenParser) parse(field string, raw json.RawMessage) {
	var e tokenEntry
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&e); err != nil {
		t.add(field, "%s: must have name, role, hash and, for the role cluster, cluster", err)
		return
	}
	who := Identity{Name: e.Name, Role: roles[e.Role], Cluster: e.Cluster, Labels: e.Labels, Scope: e.Selector}
	switch {
	case e.Name == "":
		t.add(field+".name", "is missing: logs name the token by it")
	case t.names[e.Name]:
		t.add(field+".name", "%q is the name of an entry above: give each token its own", e.Name)
	}
	if who.Role == Anyone {
		t.add(field+".role", "of %q must be cluster, viewer, operator, admin or bootstrap", e.Name)
	}
	t.checkLimits(field, who)
	hash, remedy := parseHash(e.Hash)
	if _, taken := t.found[hash]; taken {
		remedy = "is that of an entry above: give each token its own"
	}
	if remedy != "" {
		t.add(field+".hash", "of %q %s", e.Name, remedy)
		return
	}
	t.names[e.Name], t.found[hash] = true, listedToken{Identity: who, hash: hash}
}

// checkLimits checks the fields that narrow a role down.
func (t *tokenParser) checkLimits(field string, who Identity) {
	switch {
	case who.Role == Cluster && !dnsLabel.MatchString(who.Cluster):
		t.add(field+".cluster", "of %q must be the name of the one cluster that may poll with this token", who.Name)
	case who.Role == Bootstrap && who.Cluster != "" && !dnsLabel.MatchString(who.Cluster):
		t.add(field+".cluster", "of %q must be the name of the one cluster that may be registered with this token", who.Name)
	case who.Role != Cluster && who.Role != Bootstrap && who.Cluster != "":
		t.add(field+".cluster", "of %q is for the roles cluster and bootstrap only: remove it, or change the role", who.Name)
	}
	if who.Role != Bootstrap && who.Labels != nil {
		t.add(field+".labels", "of %q is for the role bootstrap only: remove it, or change the role", who.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(who.Labels)) {
		if wrong := fleet.WrongLabel(key, who.Labels[key]); wrong != "" {
			t.add(field+".labels."+key, "of %q: %s", who.Name, wrong)
		}
	}
	if remedy := checkScope(who); remedy != "" {
		t.add(field+".selector", "of %q %s", who.Name, remedy)
	}
}

// checkScope returns a remedy if the scope of who is not valid. An empty selector would
// match every cluster, which is more likely a mistake than an intention.
func checkScope(who Identity) string {
	if who.Scope == nil {
		return ""
	}
	if who.Role != Operator {
		return "is for the role operator only: remove it, or change the role"
	}
	if len(who.Scope.MatchLabels)+len(who.Scope.MatchExpressions) == 0 {
		return "matches every cluster: remove it, or name labels under matchLabels or matchExpressions"
	}
	if _, err := who.Scope.Compile(); err != nil {
		return "cannot be used: " + err.Error()
	}
	return ""
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// parseHash returns a remedy if text is not the hash of a token.
func parseHash(text string) (hash digest, remedy string) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	raw, err := hex.DecodeString(digits)
	switch {
	case !ok || err != nil || len(raw) != len(hash):
		return hash, `must be "sha256:" and the 64 digits that printf %s "$TOKEN" | sha256sum prints`
	case digest(raw) == sha256.Sum256(nil):
		return hash, "is that of an empty token: was $TOKEN set when it was made?"
	}
	return digest(raw), ""
}
