package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
)

// identityProvider is an OpenID Connect issuer, over TLS with a CA of its own.
type identityProvider struct {
	t      *testing.T
	url    string
	caPEM  string
	asked  atomic.Int64 // for its keys
	hung   atomic.Bool
	down   atomic.Bool
	resume chan struct{} // closed to end the hang

	mu         sync.Mutex
	keys       []jose.JSONWebKey
	algorithms []string
	keysURL    string
	routes     http.Handler
}

func newIdentityProvider(t *testing.T) *identityProvider {
	t.Helper()
	p := &identityProvider{t: t, resume: make(chan struct{}), algorithms: []string{"RS256", "ES256", "HS256", "none"}}
	answer := func(value func() any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if p.hung.Load() {
				select {
				case <-p.resume:
				case <-r.Context().Done():
				}
			}
			if p.down.Load() {
				http.Error(w, "down", http.StatusBadGateway)
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value())
		}
	}
	routes := http.NewServeMux()
	routes.Handle("/realm/.well-known/openid-configuration", answer(func() any {
		return map[string]any{"issuer": p.url, "jwks_uri": p.keysURL, "id_token_signing_alg_values_supported": p.algorithms}
	}))
	keys := answer(func() any { return jose.JSONWebKeySet{Keys: p.keys} })
	routes.HandleFunc("/realm/keys", func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		keys(w, r)
	})
	s := httptest.NewTLSServer(routes)
	t.Cleanup(func() {
		s.CloseClientConnections() // also those that hang
		s.Close()
	})
	p.url, p.keysURL, p.routes = s.URL+"/realm", s.URL+"/realm/keys", routes
	p.caPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	return p
}

// signer is a key pair of an issuer.
type signer struct {
	id        string
	private   any
	algorithm jose.SignatureAlgorithm
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return signer{id, key, jose.ES256}
}

func (s signer) public() jose.JSONWebKey {
	private := jose.JSONWebKey{Key: s.private, KeyID: s.id}
	return private.Public()
}

// publish sets the issuer's keys.
func (p *identityProvider) publish(all ...signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
	for _, s := range all {
		p.keys = append(p.keys, s.public())
	}
}

// token makes a valid token; change overrides its claims, and nil removes one.
func (p *identityProvider) token(s signer, change map[string]any) string {
	p.t.Helper()
	claims := map[string]any{
		"iss": p.url, "aud": "tributary", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	payload, err := json.Marshal(claims)
	must(p.t, err)
	options := (&jose.SignerOptions{}).WithType("JWT")
	if s.id != "" {
		options = options.WithHeader("kid", s.id)
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: s.private}, options)
	must(p.t, err)
	signed, err := made.Sign(payload)
	must(p.t, err)
	text, err := signed.CompactSerialize()
	must(p.t, err)
	return text
}

const everybodyViews = `rules: [{claims: {sub: ada}, role: viewer}]`

// trusting starts a server that accepts the issuer's tokens and those of a file.
func (p *identityProvider) trusting(rules string, adjust ...func(*server.Config)) *harness {
	p.t.Helper()
	caFile, rulesFile := writeFile(p.t, "issuer.pem", p.caPEM), writeFile(p.t, "rules.yaml", rules)
	h := start(p.t, append([]func(*server.Config){withTokens(p.t), func(c *server.Config) {
		c.OIDCIssuer, c.OIDCAudience, c.OIDCRulesFile, c.OIDCCAFile = p.url, "tributary", rulesFile, caFile
	}}, adjust...)...)
	h.release("main@sha1:1", acme("main@sha1:1"))
	return h
}

func TestTokensOfAnIssuer(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	first, second, nameless := signer{"first", rsaKey, jose.RS256}, newSigner(t, "second"), newSigner(t, "")
	p.publish(first, second, nameless)
	h := p.trusting(everybodyViews)

	publicDER, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	must(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
	good := p.token(second, nil)
	part := strings.Split(good, ".")
	raw := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for what, c := range map[string]struct {
		token string
		want  int
	}{
		"RS256":                              {p.token(first, nil), 200},
		"ES256":                              {good, 200},
		"for several audiences":              {p.token(first, map[string]any{"aud": []string{"x", "tributary"}}), 200},
		"without the id of its key":          {p.token(nameless, nil), 200},
		"for another audience":               {p.token(first, map[string]any{"aud": "vault"}), 401},
		"for no audience":                    {p.token(first, map[string]any{"aud": nil}), 401},
		"for a longer audience":              {p.token(first, map[string]any{"aud": "tributary2"}), 401},
		"expired":                            {p.token(first, map[string]any{"exp": in(-time.Minute)}), 401},
		"that never expires":                 {p.token(first, map[string]any{"exp": nil}), 401},
		"not valid yet":                      {p.token(first, map[string]any{"nbf": in(time.Hour)}), 401},
		"of another issuer":                  {p.token(first, map[string]any{"iss": p.url + "/"}), 401},
		"of no issuer":                       {p.token(first, map[string]any{"iss": nil}), 401},
		"signed with HS256 by a public key":  {p.token(signer{"first", publicPEM, jose.HS256}, nil), 401},
		"signed by an algorithm not offered": {p.token(signer{"first", rsaKey, jose.PS256}, nil), 401},
		"signed by nobody":                   {raw(`{"alg":"none"}`) + "." + part[1] + ".", 401},
		"signed by nobody, with a signature": {raw(`{"alg":"none","kid":"second"}`) + "." + part[1] + "." + part[2], 401},
		"signed by another key of the id":    {p.token(newSigner(t, "second"), nil), 401},
		"signed by an unknown key":           {p.token(newSigner(t, "third"), nil), 401},
		"with the claims of another":         {part[0] + "." + raw(`{"sub":"ada"}`) + "." + part[2], 401},
		"with a key of its own":              {selfSigned(t, p, newSigner(t, "second")), 401},
		"cut":                                {good[:len(good)-4], 401},
		"nonsense":                           {"eyJ.eyJ.eyJ", 401},
		"too long":                           {p.token(first, map[string]any{"x": strings.Repeat("x", 16<<10)}), 401},
		"long":                               {p.token(first, map[string]any{"x": strings.Repeat("x", 8<<10)}), 200},
		"of a file":                          {viewerToken, 200},
	} {
		reply := h.get(releases, bearer(c.token)...)
		if reply.status != c.want {
			t.Errorf("%s = %d: %s, want %d", what, reply.status, reply.body, c.want)
		}
		if strings.Contains(string(reply.body), "vault") {
			t.Errorf("%s: the answer repeats what is in the token: %s", what, reply.body)
		}
	}
	if got := h.get(releases, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+good))); got.status != 200 {
		t.Errorf("as password of Basic = %d, want 200", got.status)
	}
	if log := h.logs.String(); strings.Contains(log, part[2]) || !strings.Contains(log, `"identity":"oidc:ada"`) {
		t.Error("the log must have the caller's name, and no token")
	}
}

// selfSigned makes a token that contains the key to verify it with.
func selfSigned(t *testing.T, p *identityProvider, s signer) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: s.algorithm, Key: s.private}, &jose.SignerOptions{EmbedJWK: true})
	must(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(p.token(s, nil), ".")[1])
	must(t, err)
	signed, err := made.Sign(payload)
	must(t, err)
	text, err := signed.CompactSerialize()
	must(t, err)
	return text
}

func TestJWTInTheTokensFileNeedsNoIssuer(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	token := "eyJ.eyJ.eyJ"
	h := p.trusting(everybodyViews, func(c *server.Config) {
		c.TokensFile = writeFile(t, "tokens.yaml", `tokens: [{name: odd, role: viewer, hash: "`+hash(token)+`"}]`)
	})
	if got := h.get(releases, bearer(token)...); got.status != 200 || p.asked.Load() != 0 {
		t.Errorf("= %d with the issuer asked %d times, want 200 and never", got.status, p.asked.Load())
	}
}

func TestKeysOfAnIssuerMayChange(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	first, second := newSigner(t, "first"), newSigner(t, "second")
	p.publish(first)
	h := p.trusting(everybodyViews)
	for range 3 {
		h.get(releases, bearer(p.token(first, nil))...).wantOK(t, &struct{}{})
	}
	if got := p.asked.Load(); got != 1 {
		t.Errorf("asked %d times, want keys to be kept", got)
	}
	p.publish(first, second)
	h.clock.advance(time.Minute)
	for _, s := range []signer{second, first} {
		h.get(releases, bearer(p.token(s, nil))...).wantOK(t, &struct{}{})
	}
	if got := p.asked.Load(); got != 2 {
		t.Errorf("asked %d times, want 2", got)
	}
	p.publish(second)
	h.clock.advance(time.Hour) // a removed key is forgotten even if no token names an unknown key
	eventually(t, func() bool { return h.get(releases, bearer(p.token(first, nil))...).status == 401 })
}

func TestFloodOfTokensCausesFewFetches(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	known := newSigner(t, "known")
	p.publish(known)
	h := p.trusting(everybodyViews)
	var all sync.WaitGroup
	forger, unknown := newSigner(t, "known"), newSigner(t, "")
	for n := range 200 {
		all.Go(func() {
			s := forger
			if n%2 == 0 {
				s = signer{fmt.Sprintf("unknown-%d", n), unknown.private, jose.ES256}
			}
			if got := h.get(releases, bearer(p.token(s, nil))...).status; got != 401 && got != 429 && got != 503 {
				t.Errorf("= %d, want it refused", got)
			}
		})
	}
	all.Wait()
	if got := p.asked.Load(); got > 2 {
		t.Errorf("the issuer was asked %d times, want no more than 2", got)
	}
	h.get(releases, bearer(p.token(known, nil))...).wantOK(t, &struct{}{})
}

func TestIssuerThatIsDownBlocksNothing(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	key := newSigner(t, "key")
	p.publish(key)
	p.down.Store(true)
	h := p.trusting(everybodyViews) // starts without the issuer
	token := p.token(key, nil)
	reply := h.get(releases, bearer(token)...)
	reply.problem(t, 503, "issuer-unavailable")
	if reply.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.get(kedaPath, bearer(token)...).problem(t, 503, "issuer-unavailable")
	h.get("/metrics", bearer(token)...).problem(t, 503, "issuer-unavailable")
	if got := h.poll(bearer(clusterToken)...); got != 200 {
		t.Errorf("a poll = %d, want 200", got)
	}
	for range 20 {
		h.get(releases, bearer(token)...)
	}
	if got := len(h.logs.lines(t, "keys of the issuer cannot be fetched")); got != 1 {
		t.Errorf("the log complains %d times, want once before a second has passed", got)
	}
	if got := h.metric(`tributary_authentication_failures_total{kind="jwt"}`); got != "0" {
		t.Errorf("%s failed attempts, want none: the token may be good", got)
	}
	p.down.Store(false)
	h.clock.advance(time.Minute)
	h.get(releases, bearer(token)...).wantOK(t, &struct{}{})
	p.down.Store(true)
	h.clock.advance(time.Hour)
	for range 3 {
		h.get(releases, bearer(token)...).wantOK(t, &struct{}{}) // with the keys that are known
	}
}

func TestIssuerThatHangsBlocksNothing(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	key, next := newSigner(t, "key"), newSigner(t, "next")
	p.publish(key)
	h := p.trusting(everybodyViews, func(c *server.Config) { c.Limits.Issuer = time.Hour })
	h.get(releases, bearer(p.token(key, nil))...).wantOK(t, &struct{}{})
	p.publish(key, next)
	p.hung.Store(true)
	h.clock.advance(time.Minute)
	var all sync.WaitGroup
	var busy, good atomic.Int64
	for range 150 {
		all.Go(func() {
			switch h.get(releases, bearer(p.token(next, nil))...).status {
			case 503:
				busy.Add(1)
			case 200:
				good.Add(1)
			}
		})
	}
	eventually(t, func() bool { return busy.Load() == 50 }) // all but the 100 that may wait
	h.get(releases, bearer(p.token(key, nil))...).wantOK(t, &struct{}{})
	if got := h.poll(bearer(clusterToken)...); got != 200 {
		t.Errorf("a poll = %d, want 200", got)
	}
	close(p.resume)
	all.Wait()
	if busy.Load() != 50 || good.Load() != 100 {
		t.Errorf("503 for %d and 200 for %d, want 50 and 100", busy.Load(), good.Load())
	}
}

func TestRequestWaitsForTheIssuerWithinALimit(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	p.hung.Store(true)
	h := p.trusting(everybodyViews, func(c *server.Config) { c.Limits.Issuer = time.Millisecond })
	h.get(releases, bearer(p.token(newSigner(t, "key"), nil))...).problem(t, 503, "issuer-unavailable")
}

func TestAnIssuerIsVerified(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	key := newSigner(t, "key")
	p.publish(key)
	other := newAuthority(t, "other")
	for what, adjust := range map[string]func(*server.Config){
		"without its CA":   func(c *server.Config) { c.OIDCCAFile = "" },
		"with another CA":  func(c *server.Config) { c.OIDCCAFile = writeFile(t, "ca.pem", other.pem()) },
		"by another name":  func(c *server.Config) { c.OIDCIssuer += "/" },
		"which is not one": func(c *server.Config) { c.OIDCIssuer = strings.TrimSuffix(c.OIDCIssuer, "/realm") },
		"with keys in the clear": func(*server.Config) {
			plain := httptest.NewServer(p.routes)
			t.Cleanup(plain.Close)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.keysURL = plain.URL + "/realm/keys"
		},
	} {
		p.keysURL = p.url + "/keys"
		h := p.trusting(everybodyViews, adjust)
		if got := h.get(releases, bearer(p.token(key, nil))...).status; got != 503 {
			t.Errorf("%s = %d, want 503", what, got)
		}
	}
}

func TestIssuerCAIsReloaded(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	key := newSigner(t, "key")
	p.publish(key)
	file := writeFile(t, "ca.pem", newAuthority(t, "other").pem())
	h := p.trusting(everybodyViews, func(c *server.Config) { c.OIDCCAFile, c.Reload = file, time.Millisecond })
	token := p.token(key, nil)
	h.get(releases, bearer(token)...).problem(t, 503, "issuer-unavailable")
	replaced["renamed over"](t, file, p.caPEM)
	eventually(t, func() bool { return strings.Contains(h.logs.String(), `"file":"oidc_ca"`) })
	h.clock.advance(time.Minute)
	h.get(releases, bearer(token)...).wantOK(t, &struct{}{})
}

func TestIssuersAreHTTPSURLs(t *testing.T) {
	t.Parallel()
	rules := writeFile(t, "rules.yaml", everybodyViews)
	for _, issuer := range []string{
		"issuer.example.com", "http://issuer.example.com", "https://", "https://u:p@issuer.example.com", "https://issuer.example.com?x=y",
		"https://issuer.example.com#x", "ftp://issuer.example.com", "https://%zz",
	} {
		_, err := server.New(server.Config{
			Fleet:      controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}}),
			OIDCIssuer: issuer, OIDCAudience: "tributary", OIDCRulesFile: rules,
		})
		if err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v, want an error that repeats no password", issuer, err)
		}
	}
}
