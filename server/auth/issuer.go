package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// issuer is an OpenID Connect issuer. Nothing is fetched from it before the first token
// comes, and the server runs without it. One goroutine at a time fetches its keys, no
// faster than the times below, whatever tokens come and however the issuer fails.
//
// The libraries for key sets do not serve: decision 22 says why.
type issuer struct {
	url, audience string
	log           *slog.Logger
	now           func() time.Time
	wait          time.Duration // how long a request waits for a fetch
	client        atomic.Pointer[http.Client]
	keys          atomic.Pointer[issuerKeys] // nil until the first fetch that succeeds

	mu       sync.Mutex    // never held while fetching
	fetching chan struct{} // closed when the current fetch ends; nil if there is none
	waiting  int           // requests that wait for it
	next     time.Time     // no fetch before then
	failures int           // since the last fetch that succeeded
	err      error         // of the last fetch
}

const (
	fetchTimeout = 10 * time.Second
	maxWaiting   = 100              // requests; the others are told to try again
	fetchPause   = 10 * time.Second // a token with an unknown key starts no fetch sooner
	firstBackoff = time.Second      // after a fetch that failed
	maxBackoff   = time.Minute
	keysFresh    = 10 * time.Minute // then they are fetched again, so that a removed key is forgotten
)

var errNoAnswer = fmt.Errorf("%w: it does not answer, so its tokens cannot be verified: try again, or use another credential", api.ErrIssuer)

// verify returns the claims of a token that the issuer made for this server. With a known
// key it does so without the issuer. An api.ErrIssuer is for a token that cannot be
// verified now; any other error is the token's fault.
func (i *issuer) verify(ctx context.Context, token string) (claims map[string]any, err error) {
	known := i.keys.Load()
	if known != nil {
		i.refreshOld(known)
		if claims, err = known.verify(ctx, token); !errors.Is(err, errUnknownKey) {
			return claims, err
		}
	}
	if err := i.refresh(ctx); err != nil {
		return nil, err
	}
	return i.keys.Load().verify(ctx, token)
}

// refreshOld does not wait: old keys are valid until there are new ones.
func (i *issuer) refreshOld(known *issuerKeys) {
	if i.now().Sub(known.fetched) < keysFresh {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.startFetch()
}

// refresh waits for the current fetch, or a new one if it is time for it. It returns the
// error of the last fetch.
func (i *issuer) refresh(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.startFetch()
	if fetching := i.fetching; fetching != nil {
		if i.waiting >= maxWaiting {
			return errNoAnswer
		}
		i.waiting++
		i.mu.Unlock()
		ended := waitFor(ctx, i.wait, fetching)
		i.mu.Lock()
		i.waiting--
		if !ended {
			return errNoAnswer
		}
	}
	return i.err
}

func waitFor(ctx context.Context, timeout time.Duration, done <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// startFetch starts a fetch if it is time for one. The caller holds mu.
func (i *issuer) startFetch() {
	if i.fetching != nil || i.now().Before(i.next) {
		return
	}
	i.fetching = make(chan struct{})
	go i.fetch()
}

func (i *issuer) fetch() {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	keys, err := fetchKeys(ctx, i.client.Load(), i.url, i.audience)
	if err == nil {
		keys.fetched = i.now()
		i.keys.Store(keys)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetched(err)
	close(i.fetching)
	i.fetching = nil
}

// fetched records the result of a fetch, and when the next may start.
func (i *issuer) fetched(err error) {
	if err == nil {
		i.failures, i.err, i.next = 0, nil, i.now().Add(fetchPause)
		return
	}
	i.next = i.now().Add(min(firstBackoff<<min(i.failures, 10), maxBackoff))
	i.failures++
	i.err = errNoAnswer // callers need not learn more about the network
	i.log.Warn("keys of the issuer cannot be fetched", "issuer", i.url, "retry_at", i.next, "err", err)
}

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the OpenID Connect issuer must be an https URL without user, query and fragment, as in the iss claim of its tokens")
	}
	return nil
}

// trust returns the Use function of a file of CAs to trust for the issuer.
func (i *issuer) trust(file string) func([][]byte) error {
	return func(contents [][]byte) error {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without any
		}
		if !pool.AppendCertsFromPEM(contents[0]) {
			return fmt.Errorf("%w: %s: contains no certificate in PEM", fleet.ErrInvalid, file)
		}
		i.client.Store(issuerClient(pool))
		return nil
	}
}

// issuerClient returns a client that uses https alone, also after redirects, and bounds
// what it reads. Its caller bounds the time.
func issuerClient(cas *x509.CertPool) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cas}
	transport.IdleConnTimeout = time.Second // the next request is minutes away
	return &http.Client{Transport: onlyHTTPS{transport}}
}

type onlyHTTPS struct{ next http.RoundTripper }

const maxIssuerBytes = 1 << 20

// RoundTrip implements http.RoundTripper.
func (o onlyHTTPS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errors.New("an address is not https")
	}
	response, err := o.next.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxIssuerBytes)
	}
	return response, err
}

// fetchError says why an issuer cannot be read, without quoting what it sent.
func fetchError(err error) error {
	var mismatch *oidc.IssuerMismatchError
	var failed *url.Error
	switch {
	case errors.As(err, &mismatch):
		return errors.New("its URL in its description is another one than the configured URL")
	case errors.As(err, &failed):
		return failed.Err
	}
	return errors.New("its description, under /.well-known/openid-configuration, cannot be read")
}

// issuerKeys are the public keys of an issuer at one time. They never change, so
// verifying a token takes no lock and asks nobody.
type issuerKeys struct {
	issuer     string
	config     *oidc.Config
	algorithms []jose.SignatureAlgorithm
	keys       []jose.JSONWebKey
	fetched    time.Time
}

// asymmetric are the algorithms that a token may be signed with, if its issuer names them
// as well. With any other algorithm, whoever can verify a token can sign one.
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// fetchKeys fetches the issuer's description and its keys.
func fetchKeys(ctx context.Context, client *http.Client, issuer, audience string) (*issuerKeys, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, fetchError(err)
	}
	var description struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&description); err != nil {
		return nil, errors.New("its description cannot be read")
	}
	k := &issuerKeys{issuer: issuer}
	used := slices.DeleteFunc(description.Algorithms, func(a string) bool { return !slices.Contains(asymmetric, a) })
	if len(used) == 0 {
		used = []string{oidc.RS256} // the one that every issuer must support
	}
	k.config = &oidc.Config{ClientID: audience, SupportedSigningAlgs: used}
	for _, a := range used {
		k.algorithms = append(k.algorithms, jose.SignatureAlgorithm(a))
	}
	k.keys, err = fetchKeySet(ctx, client, description.Keys)
	return k, err
}

// fetchKeySet skips keys of unknown kinds, and those that are not public.
func fetchKeySet(ctx context.Context, client *http.Client, url string) ([]jose.JSONWebKey, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("its description has no address of its keys")
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, fetchError(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the request for its keys is answered with %s", response.Status)
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

var errUnknownKey = errors.New("signed with an unknown key")

// verify returns the token's claims, with numbers as they are written.
func (k *issuerKeys) verify(ctx context.Context, token string) (map[string]any, error) {
	lookup := &keyLookup{keys: k}
	verified, err := oidc.NewVerifier(k.issuer, lookup, k.config).Verify(ctx, token)
	switch {
	case lookup.unknown:
		return nil, fmt.Errorf("%w: the JWT is %w", fleet.ErrUnauthenticated, errUnknownKey)
	case err != nil:
		return nil, fmt.Errorf("%w: the JWT is not valid: %s", fleet.ErrUnauthenticated, jwtFault(err))
	}
	return claimsOf(verified)
}

// keyLookup is an oidc.KeySet for one token. It records that the token names an unknown
// key, since its errors do not reach the verifier's caller.
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

// isJWT reports whether a token looks like a JWT: two dots, and a JSON object in base64
// ahead of them.
func isJWT(token string) bool {
	return len(token) <= maxJWT && strings.HasPrefix(token, "ey") && strings.Count(token, ".") == 2
}

// claimsOf keeps numbers as they are written: an id may have more digits than a float64
// can hold.
func claimsOf(token *oidc.IDToken) (claims map[string]any, err error) {
	var raw json.RawMessage
	if err := token.Claims(&raw); err != nil {
		return nil, err
	}
	exact := json.NewDecoder(bytes.NewReader(raw))
	exact.UseNumber()
	if err := exact.Decode(&claims); err != nil {
		return nil, fmt.Errorf("%w: the JWT's claims cannot be read", fleet.ErrUnauthenticated)
	}
	return claims, nil
}

// jwtFault tells the caller what is wrong with its JWT, without quoting the JWT.
func jwtFault(err error) string {
	var expired *oidc.TokenExpiredError
	text := err.Error()
	switch {
	case errors.As(err, &expired):
		return "it has expired"
	case strings.Contains(text, "not before"):
		return "it is not valid yet"
	case strings.Contains(text, "issued by a different provider"):
		return "another issuer made it"
	case strings.Contains(text, "expected audience"):
		return "it is not for this server's audience"
	}
	return "its form, algorithm or signature is wrong"
}
