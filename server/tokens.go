package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
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

func (t *tokens) find(hash digest) (identity, bool) {
	found := (*t.current.Load())[hash]
	if subtle.ConstantTimeCompare(found.hash[:], hash[:]) != 1 {
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
	Name    string `json:"name"`
	Role    string `json:"role"`
	Cluster string `json:"cluster"`
	Hash    string `json:"hash"`
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
	who := identity{name: e.Name, role: roles[e.Role], cluster: e.Cluster}
	switch {
	case e.Name == "":
		t.wrong(field+".name", "is missing: logs name the token by it")
	case t.names[e.Name]:
		t.wrong(field+".name", "%q is taken by an entry above: give each token its own", e.Name)
	}
	if who.role == roleAnyone {
		t.wrong(field+".role", "of %q must be cluster, viewer, operator, admin or bootstrap", e.Name)
	}
	switch {
	case who.role == roleCluster && !dnsLabel.MatchString(e.Cluster):
		t.wrong(field+".cluster", "of %q must be the name of the one cluster that may poll with this token", e.Name)
	case who.role != roleCluster && e.Cluster != "":
		t.wrong(field+".cluster", "of %q belongs to the role cluster only: drop it, or change the role", e.Name)
	}
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
