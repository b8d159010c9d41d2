package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/tributary-gitops/tributary/fleet"
)

// issuerKeys are the public keys of an issuer as they were at a time. They
// never change, so that verifying a token takes no lock and asks nobody.
type issuerKeys struct {
	issuer     string
	config     *oidc.Config
	algorithms []jose.SignatureAlgorithm
	keys       []jose.JSONWebKey
	fetched    time.Time
}

// asymmetric are the algorithms that a token may be signed with, if its issuer
// says so too. With the others, whoever can verify could sign.
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// fetchKeys asks the issuer for its description and its keys.
func fetchKeys(ctx context.Context, client *http.Client, issuer, audience string) (*issuerKeys, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, unreachable(err)
	}
	var described struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&described); err != nil {
		return nil, errors.New("its description cannot be read")
	}
	k := &issuerKeys{issuer: issuer, fetched: time.Now()}
	used := slices.DeleteFunc(described.Algorithms, func(a string) bool { return !slices.Contains(asymmetric, a) })
	if len(used) == 0 {
		used = []string{oidc.RS256} // the one that every issuer must have
	}
	k.config = &oidc.Config{ClientID: audience, SupportedSigningAlgs: used}
	for _, a := range used {
		k.algorithms = append(k.algorithms, jose.SignatureAlgorithm(a))
	}
	k.keys, err = getKeys(ctx, client, described.Keys)
	return k, err
}

// getKeys leaves out keys of kinds that are not known here, and those that are
// not public.
func getKeys(ctx context.Context, client *http.Client, url string) ([]jose.JSONWebKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("its description names no address of its keys")
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its keys are answered with %s", response.Status)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, errors.New("its keys cannot be read")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.Valid() && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no public keys")
	}
	return keys, nil
}

var errUnknownKey = errors.New("signed with a key that is not known")

// verify returns the token's claims, with numbers as they are written.
func (k *issuerKeys) verify(ctx context.Context, token string) (map[string]any, error) {
	lookup := &keyLookup{keys: k}
	verified, err := oidc.NewVerifier(k.issuer, lookup, k.config).Verify(ctx, token)
	switch {
	case lookup.unknown:
		return nil, fmt.Errorf("%w: the JWT is %w", fleet.ErrUnauthenticated, errUnknownKey)
	case err != nil:
		return nil, fmt.Errorf("%w: the JWT is not good: %s", fleet.ErrUnauthenticated, jwtFault(err))
	}
	return claimsOf(verified)
}

// keyLookup is an oidc.KeySet for one token. It notes that the token names a key
// that is not known, since errors do not reach the verifier's caller.
type keyLookup struct {
	keys    *issuerKeys
	unknown bool
}

// VerifySignature implements oidc.KeySet.
func (l *keyLookup) VerifySignature(_ context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, l.keys.algorithms)
	if err != nil {
		return nil, err
	}
	id := signed.Signatures[0].Header.KeyID
	l.unknown = id != ""
	for _, key := range l.keys.keys {
		if id != "" && key.KeyID != id {
			continue
		}
		l.unknown = false
		if payload, err := signed.Verify(&key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("signature does not match")
}
