package server

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

// tokens are the credentials of a tokens file, found by the hash of the token.
// The hash is a fast one: tokens are long and random, so no one can guess them
// from it, and every poll pays for it.
type tokens struct {
	file    string
	current atomic.Pointer[map[digest]credential]
}

type digest = [sha256.Size]byte

type credential struct {
	identity
	hash digest
}

// find tells who holds the token with that hash. The lookup is by a hash that
// whoever guesses cannot steer, and its last step takes the same time for every token.
func (t *tokens) find(sum digest) (identity, bool) {
	found := (*t.current.Load())[sum]
	if subtle.ConstantTimeCompare(found.hash[:], sum[:]) != 1 {
		return identity{}, false
	}
	return found.identity, true
}

// use takes the contents of the file, all or nothing.
func (t *tokens) use(contents [][]byte) error {
	all, err := parseTokens(t.file, contents[0])
	if err != nil {
		return err
	}
	t.current.Store(&all)
	return nil
}

// tokenEntry is one of the file's.
type tokenEntry struct {
	Name     string            `json:"name"`
	Role     string            `json:"role"`
	Cluster  string            `json:"cluster"`
	Labels   map[string]string `json:"labels"`
	Selector *fleet.Selector   `json:"selector"`
	Hash     string            `json:"hash"`
}

// tokenReader gathers what a tokens file says, and all that is wrong with it.
type tokenReader struct {
	file     string
	all      map[digest]credential
	names    map[string]bool
	problems fleet.Problems
}

// parseTokens reads a tokens file strictly. What is wrong comes all at once, as
// fleet.Problems that never quote a hash: it might be a token by mistake.
func parseTokens(file string, content []byte) (map[digest]credential, error) {
	t := tokenReader{file: file, all: map[digest]credential{}, names: map[string]bool{}}
	var document struct {
		Tokens []json.RawMessage `json:"tokens"`
	}
	err := yaml.UnmarshalStrict(content, &document)
	switch {
	case err != nil:
		t.wrong("", "%s", err)
	case document.Tokens == nil:
		t.wrong("tokens", "is missing: list the tokens under it, or write `tokens: []` for none")
	}
	for i, raw := range document.Tokens {
		t.read(fmt.Sprintf("tokens[%d]", i), raw)
	}
	if t.problems != nil {
		return nil, t.problems
	}
	return t.all, nil
}

func (t *tokenReader) wrong(field, format string, args ...any) {
	t.problems = append(t.problems, fleet.Problem{File: t.file, Field: field, Message: fmt.Sprintf(format, args...)})
}

func (t *tokenReader) read(field string, raw json.RawMessage) {
	var e tokenEntry
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&e); err != nil {
		t.wrong(field, "%s: must have name, role, hash and, for the role cluster, cluster", err)
		return
	}
	who := identity{name: e.Name, role: roles[e.Role], cluster: e.Cluster, labels: e.Labels, scope: e.Selector}
	switch {
	case e.Name == "":
		t.wrong(field+".name", "is missing: logs name the token by it")
	case t.names[e.Name]:
		t.wrong(field+".name", "%q is taken by an entry above: give each token its own", e.Name)
	}
	if who.role == roleAnyone {
		t.wrong(field+".role", "of %q must be cluster, viewer, operator, admin or bootstrap", e.Name)
	}
	t.limits(field, who)
	hash, remedy := parseHash(e.Hash)
	if _, taken := t.all[hash]; taken {
		remedy = "is that of an entry above: give each token its own"
	}
	if remedy != "" {
		t.wrong(field+".hash", "of %q %s", e.Name, remedy)
		return
	}
	t.names[e.Name], t.all[hash] = true, credential{identity: who, hash: hash}
}

// limits checks what narrows a role down.
func (t *tokenReader) limits(field string, who identity) {
	switch {
	case who.role == roleCluster && !dnsLabel.MatchString(who.cluster):
		t.wrong(field+".cluster", "of %q must be the name of the one cluster that may poll with this token", who.name)
	case who.role == roleBootstrap && who.cluster != "" && !dnsLabel.MatchString(who.cluster):
		t.wrong(field+".cluster", "of %q must be the name of the one cluster that may be registered with this token", who.name)
	case who.role != roleCluster && who.role != roleBootstrap && who.cluster != "":
		t.wrong(field+".cluster", "of %q belongs to the roles cluster and bootstrap only: drop it, or change the role", who.name)
	}
	if who.role != roleBootstrap && who.labels != nil {
		t.wrong(field+".labels", "of %q belongs to the role bootstrap only: drop it, or change the role", who.name)
	}
	for _, key := range slices.Sorted(maps.Keys(who.labels)) {
		if wrong := fleet.WrongLabel(key, who.labels[key]); wrong != "" {
			t.wrong(field+".labels."+key, "of %q: %s", who.name, wrong)
		}
	}
	if remedy := checkScope(who); remedy != "" {
		t.wrong(field+".selector", "of %q %s", who.name, remedy)
	}
}

// checkScope returns the remedy where the clusters that who may reach cannot be
// as they are. An empty selector would match everything, and is a mistake sooner
// than an intention.
func checkScope(who identity) string {
	if who.scope == nil {
		return ""
	}
	if who.role != roleOperator {
		return "belongs to the role operator only: drop it, or change the role"
	}
	if len(who.scope.MatchLabels)+len(who.scope.MatchExpressions) == 0 {
		return "matches every cluster: drop it, or name labels under matchLabels or matchExpressions"
	}
	if _, err := who.scope.Compile(); err != nil {
		return "cannot be used: " + err.Error()
	}
	return ""
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// parseHash returns the remedy where text is not the hash of a token.
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
