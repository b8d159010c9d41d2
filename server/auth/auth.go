// Package auth finds out who sent a request, by a token from a file or from the change
// log, a client certificate, or a JWT of an OpenID Connect issuer.
//
//	a, err := auth.New(auth.Config{Tokens: tokens, TokensFile: "tokens.yaml"})
//	...                             // load each of a.Files(), now and when it changes
//	who, err := a.Authenticate(request)
//	if err == nil && who.Role < auth.Operator {
//		err = fleet.ErrForbidden
//	}
//
// The answer to a failed attempt is delayed, to slow down whoever guesses tokens. A valid
// credential never waits for anything but, at times, the keys of its issuer. What a role
// may do is up to the caller. No token is ever logged or part of an error.
package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/server/api"
)

// Role is what a credential is for. Each role may do what the one before it may, except
// that only Bootstrap registers clusters and that Cluster reads one cluster's inputs.
type Role int

// The roles. Webhook and Anyone are for routes that need no credential: the first needs
// a secret of the webhooks instead.
const (
	Webhook   Role = iota - 1
	Anyone         // also the zero Identity, which is nobody
	Bootstrap      // registers clusters
	Cluster        // polls its own inputs
	Viewer         // reads everything
	Operator       // writes deltas
	Admin
)

var roles = map[string]Role{
	"bootstrap": Bootstrap, "cluster": Cluster, "viewer": Viewer, "operator": Operator, "admin": Admin,
}

// Identity is who sent a request.
type Identity struct {
	Name string
	Role Role
	// Cluster is the one cluster that a cluster's credential is for, or that a bootstrap
	// token may register.
	Cluster string
	// Labels are those that a bootstrap token gives to the clusters that it registers.
	Labels map[string]string
	// Scope selects the clusters that an operator may change; nil selects all.
	Scope *fleet.Selector
	// Token is nil for a credential that is not in the change log.
	Token *fleet.Token
}

// Config is what an Authenticator is made of.
type Config struct {
	// Tokens returns the tokens of the change log.
	Tokens func() *credential.Set
	// Used is called for each use of a token of the change log.
	Used func(*fleet.Token)
	// TokensFile, AdminTokenFile and ClientCAFile are further credentials; empty for none.
	TokensFile, AdminTokenFile, ClientCAFile string
	// OIDCIssuer is the https URL of an OpenID Connect issuer, whose tokens are accepted
	// if they are for OIDCAudience. OIDCRulesFile gives them roles. OIDCCAFile holds CAs
	// to trust for the issuer beside the machine's own; it may be empty.
	OIDCIssuer, OIDCAudience, OIDCRulesFile, OIDCCAFile string
	// IssuerWait is how long a request waits for the issuer.
	IssuerWait time.Duration
	// AllowAnonymous makes everybody admin on any address.
	AllowAnonymous bool
	// FailureDelay is the longest delay of the answer to a failed attempt; negative for
	// no delay.
	FailureDelay time.Duration
	// Failed is called for each failed attempt with its kind, one of FailureKinds.
	Failed func(kind string)
	Logger *slog.Logger
	Now    func() time.Time
}

// The kinds of failed attempts.
const (
	failedToken       = "token"
	failedEnded       = "ended" // a token that was revoked or has expired
	failedTooLong     = "too_long"
	failedJWT         = "jwt"
	failedCertificate = "certificate"
)

// FailureKinds are the kinds of failed attempts.
var FailureKinds = []string{failedToken, failedEnded, failedTooLong, failedJWT, failedCertificate}

// Authenticator finds out who sent a request. Its methods may be called concurrently.
type Authenticator struct {
	cfg       Config
	tokens    *tokensFile // nil without such a file
	admin     *adminToken // nil without such a file
	clientCAs *clientCAs  // nil if no certificate is asked for
	issuer    *issuer     // nil if no JWT is accepted
	rules     *rulesFile  // not nil if issuer is not
	delays    *failureDelay
	files     []File
	// public is true once the server answers on an address other than loopback.
	public atomic.Bool
}

// File is something that is loaded from files. Use takes their contents, in the order of
// Paths. If it returns an error it keeps what it had.
type File struct {
	Name  string // for logs and metrics
	Paths []string
	Use   func(contents [][]byte) error
}

// New returns an Authenticator. Its Files must be loaded before it is used.
func New(cfg Config) (*Authenticator, error) {
	a := &Authenticator{cfg: cfg, delays: newFailureDelay(cfg.FailureDelay)}
	add := func(name, path string, use func([][]byte) error) {
		a.files = append(a.files, File{Name: name, Paths: []string{path}, Use: use})
	}
	if cfg.TokensFile != "" {
		a.tokens = &tokensFile{file: cfg.TokensFile}
		add("tokens", cfg.TokensFile, a.tokens.use)
	}
	if cfg.AdminTokenFile != "" {
		a.admin = &adminToken{file: cfg.AdminTokenFile}
		add("admin_token", cfg.AdminTokenFile, a.admin.use)
	}
	if cfg.ClientCAFile != "" {
		a.clientCAs = &clientCAs{file: cfg.ClientCAFile}
		add("client_ca", cfg.ClientCAFile, a.clientCAs.use)
	}
	if cfg.OIDCIssuer == "" {
		return a, nil
	}
	if err := checkIssuer(cfg.OIDCIssuer); err != nil {
		return nil, err
	}
	a.issuer = &issuer{url: cfg.OIDCIssuer, audience: cfg.OIDCAudience, log: cfg.Logger, wait: cfg.IssuerWait, now: cfg.Now}
	a.issuer.client.Store(issuerClient(nil))
	a.rules = &rulesFile{file: cfg.OIDCRulesFile}
	add("oidc_rules", cfg.OIDCRulesFile, a.rules.use)
	if cfg.OIDCCAFile != "" {
		add("oidc_ca", cfg.OIDCCAFile, a.issuer.trust(cfg.OIDCCAFile))
	}
	return a, nil
}

// Files returns what must be loaded before the first request and whenever it changes.
func (a *Authenticator) Files() []File { return a.files }

// ConfigureTLS makes each handshake ask for a client certificate, if there are client
// CAs.
func (a *Authenticator) ConfigureTLS(config *tls.Config) {
	if a.clientCAs != nil {
		a.clientCAs.configure(config)
	}
}

var errMissing = fmt.Errorf("%w: send a token, as \"Authorization: Bearer <token>\" or as the password of HTTP Basic",
	fleet.ErrUnauthenticated)

var errUnknown = fmt.Errorf("%w: the token is not one of this server's, or it was revoked", fleet.ErrUnauthenticated)

// The longest credentials, in bytes. A longer one is not even hashed.
const (
	maxToken = 512
	maxJWT   = 16 << 10
)

// Authenticate returns who sent r. It delays the answer to a failed attempt. Where
// everybody is admin, a known token counts all the same, so that a cluster is treated as
// the cluster that it is.
func (a *Authenticator) Authenticate(r *http.Request) (Identity, error) {
	return a.authenticate(r, false)
}

// AuthenticateReplaced is Authenticate, but accepts tokens of clusters that have ended
// as well. A cluster that repeats a registration sends the token that the registration
// has replaced.
func (a *Authenticator) AuthenticateReplaced(r *http.Request) (Identity, error) {
	return a.authenticate(r, true)
}

func (a *Authenticator) authenticate(r *http.Request, replaced bool) (Identity, error) {
	if err := a.CheckHost(r); err != nil {
		return Identity{}, err
	}
	who, err := a.identify(r)
	if t := who.Token; t != nil {
		if now := a.cfg.Now(); t.Valid(now) {
			a.cfg.Used(t)
		} else if !replaced || who.Role != Cluster {
			// The caller does not guess, and should learn at once that the token has ended.
			a.cfg.Failed(failedEnded)
			return Identity{}, errUnknown
		}
	}
	switch {
	case err == nil:
		return who, nil
	case a.IsAnonymous():
		return Identity{Name: "anonymous", Role: Admin}, nil
	}
	return Identity{}, a.delay(r, err)
}

// identify uses the certificate of the connection only if the request has no
// Authorization header, since the header is the caller's latest word.
func (a *Authenticator) identify(r *http.Request) (Identity, error) {
	if _, sent := r.Header["Authorization"]; !sent {
		return a.certified(r)
	}
	token := api.BearerToken(r)
	switch {
	case token == "":
		return Identity{}, errMissing
	case a.issuer != nil && isJWT(token) && len(token) > maxToken:
		return a.verified(r.Context(), token)
	case len(token) > maxToken:
		return Identity{}, &failedAttempt{kind: failedTooLong, err: errUnknown}
	}
	if who, ok := a.find(sha256.Sum256([]byte(token))); ok {
		return who, nil
	}
	if a.issuer != nil && isJWT(token) {
		return a.verified(r.Context(), token)
	}
	return Identity{}, &failedAttempt{kind: failedToken, credential: token, err: errUnknown}
}

// find returns the owner of the token with a hash. A caller that guesses cannot steer a
// look-up by hash, and its last step takes the same time for every token.
func (a *Authenticator) find(sum digest) (Identity, bool) {
	if a.tokens != nil {
		if who, ok := a.tokens.find(sum); ok {
			return who, true
		}
	}
	if a.admin != nil && a.admin.matches(sum) {
		return Identity{Name: "admin", Role: Admin}, true
	}
	t := a.cfg.Tokens().Find(sum)
	if t == nil || subtle.ConstantTimeCompare(t.Hash[:], sum[:]) != 1 {
		return Identity{}, false
	}
	return Identity{Name: t.Name, Role: roles[string(t.Role)], Cluster: t.Cluster, Labels: t.Labels, Scope: t.Selector, Token: t}, true
}

// verified returns the owner of a JWT.
func (a *Authenticator) verified(ctx context.Context, token string) (Identity, error) {
	claims, err := a.issuer.verify(ctx, token)
	switch {
	case errors.Is(err, api.ErrIssuer):
		return Identity{}, err // not a failed attempt, since the token may be valid
	case err != nil:
		return Identity{}, &failedAttempt{kind: failedJWT, credential: token, err: err}
	}
	return a.rules.current.Load().identify(claims)
}

// delay counts err if it is a failed attempt, and returns what to answer once it may be
// answered.
func (a *Authenticator) delay(r *http.Request, err error) error {
	var failed *failedAttempt
	if !errors.As(err, &failed) {
		return err
	}
	a.cfg.Failed(failed.kind)
	return cmp.Or(a.delays.wait(r.Context(), clientAddress(r.RemoteAddr), failed.credential), err)
}

// IsAnonymous reports whether everybody is admin: it was asked for, or the server answers
// this machine only and nobody was ever given a credential.
func (a *Authenticator) IsAnonymous() bool {
	return a.cfg.AllowAnonymous || !a.isConfigured() && !a.public.Load() && !a.cfg.Tokens().ForPeople()
}

// isConfigured reports whether there is a file or an issuer of credentials.
func (a *Authenticator) isConfigured() bool {
	return a.tokens != nil || a.admin != nil || a.clientCAs != nil || a.issuer != nil
}

// CheckHost returns an error if r must not be answered because of its Host header. A
// server on which everybody is admin answers to loopback names only, unless anonymous
// access was asked for: a web page can have its own name resolve to 127.0.0.1, and would
// then read what the server returns.
func (a *Authenticator) CheckHost(r *http.Request) error {
	if !a.IsAnonymous() || a.cfg.AllowAnonymous || api.IsLoopback(r.Host) {
		return nil
	}
	return fmt.Errorf("%w: without tokens, requests must be for localhost, 127.0.0.1 or [::1], not for %q", api.ErrMisdirected, r.Host)
}

// CheckAddress returns an error if the server must not answer on addr: where everybody is
// admin, addr must be a loopback address, unless anonymous access was asked for.
func (a *Authenticator) CheckAddress(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	a.public.Store(true)
	if a.cfg.AllowAnonymous || a.isConfigured() || a.cfg.Tokens().Admins(a.cfg.Now()) {
		return nil
	}
	return fmt.Errorf("on %s everybody who reaches the server would be admin: create a token with tributary token create --store, "+
		"give the server a tokens file, admin token file, client CA or OpenID Connect issuer, listen on 127.0.0.1, or allow it with --insecure-allow-anonymous", addr)
}
