package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// role is what a credential is for. Each may do what the one before it may,
// except that only bootstrap registers, and that a cluster reads its own only.
type role int

const (
	roleHook      role = iota - 1 // no credential of these, but the secret of the webhooks
	roleAnyone                    // needs no credential
	roleBootstrap                 // registers clusters; reserved
	roleCluster                   // polls its own inputs
	roleViewer                    // reads everything
	roleOperator                  // writes deltas
	roleAdmin
)

var roles = map[string]role{
	"bootstrap": roleBootstrap, "cluster": roleCluster, "viewer": roleViewer, "operator": roleOperator, "admin": roleAdmin,
}

// identity is who sent a request.
type identity struct {
	name    string
	role    role
	cluster string            // the one cluster of a cluster's credential, or that a bootstrap token may register
	labels  map[string]string // what a bootstrap token gives the clusters that it registers
	scope   *fleet.Selector   // the clusters that an operator may reach; nil is all
	token   *fleet.Token      // nil for a credential that the change log does not have
}

var errMissing = fmt.Errorf("%w: send a token, as \"Authorization: Bearer <token>\" or as the password of HTTP Basic",
	fleet.ErrUnauthenticated)

var errUnknown = fmt.Errorf("%w: the token is not one of this server's, or it was revoked", fleet.ErrUnauthenticated)

var errCrossSite = fmt.Errorf("%w: a page of another site had the browser send this: send it without a browser", fleet.ErrForbidden)

// The bytes that a credential may have; a longer one is not even hashed.
const (
	longestToken = 512
	longestJWT   = 16 << 10
)

// anonymous tells whether everybody is admin: it was asked for, or nothing but this
// machine is answered and nobody was ever given a credential.
func (s *Server) anonymous() bool {
	return s.cfg.AllowAnonymous || !s.guarded() && !s.public.Load() && !s.fleet.Tokens().ForPeople()
}

// guarded tells whether a file or an issuer says who may come in.
func (s *Server) guarded() bool {
	return s.tokens != nil || s.admin != nil || s.clientCAs != nil || s.issuer != nil
}

// authenticate tells who sent r, and takes its time to say that nobody is known
// by what was shown. Where everybody is admin, a token that is known counts all the
// same, so that a cluster is taken for what it is. Spent tokens of clusters, which
// were replaced, are for who repeats a registration.
func (s *Server) authenticate(r *http.Request, spent bool) (identity, error) {
	if err := s.checkHost(r); err != nil {
		return identity{}, err
	}
	who, err := s.identify(r)
	if t := who.token; t != nil {
		if now := time.Now(); t.Valid(now) {
			t.Touch(now)
		} else if !spent || who.role != roleCluster {
			// Who was given it guesses nothing, and is to know at once that it ended.
			s.metrics.failedAuthentications.WithLabelValues("ended").Inc()
			return identity{}, errUnknown
		}
	}
	switch {
	case err == nil:
		return who, nil
	case s.anonymous():
		return identity{name: "anonymous", role: roleAdmin}, nil
	}
	return identity{}, s.slowed(r, err)
}

// identify takes the certificate of the connection only where the request
// itself says nothing: what is said last, and by the caller, decides.
func (s *Server) identify(r *http.Request) (identity, error) {
	if _, sent := r.Header["Authorization"]; !sent {
		return s.certified(r)
	}
	token := api.BearerToken(r)
	switch {
	case token == "":
		return identity{}, errMissing
	case s.issuer != nil && isJWT(token) && len(token) > longestToken:
		return s.bearer(r.Context(), token)
	case len(token) > longestToken:
		return identity{}, &failedAttempt{kind: "too_long", err: errUnknown}
	}
	if who, ok := s.known(sha256.Sum256([]byte(token))); ok {
		return who, nil
	}
	if s.issuer != nil && isJWT(token) {
		return s.bearer(r.Context(), token)
	}
	return identity{}, &failedAttempt{kind: "token", credential: token, err: errUnknown}
}

// known tells whose token has the hash. The look-up is by a hash that whoever
// guesses cannot steer, and its last step takes the same time for every token.
func (s *Server) known(sum digest) (identity, bool) {
	if s.tokens != nil {
		if who, ok := s.tokens.find(sum); ok {
			return who, true
		}
	}
	if s.admin != nil && s.admin.is(sum) {
		return identity{name: "admin", role: roleAdmin}, true
	}
	t := s.fleet.Tokens().Find(sum)
	if t == nil || subtle.ConstantTimeCompare(t.Hash[:], sum[:]) != 1 {
		return identity{}, false
	}
	return identity{name: t.Name, role: roles[string(t.Role)], cluster: t.Cluster, labels: t.Labels, scope: t.Selector, token: t}, true
}

// checkHost returns why a server without tokens does not answer r: unless that
// was asked for, it answers only to a loopback name, because a web page can have
// its own name resolve to 127.0.0.1 and read what is served there.
func (s *Server) checkHost(r *http.Request) error {
	if !s.anonymous() || s.cfg.AllowAnonymous || api.IsLoopback(r.Host) {
		return nil
	}
	return fmt.Errorf("%w: without tokens, requests must be for localhost, 127.0.0.1 or [::1], not for %q", api.ErrMisdirected, r.Host)
}

// guard lets through to rt who may; the rest get a problem.
func (s *Server) guard(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x, ok := w.(*exchange); ok {
			x.route = rt
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.bodyBytes(rt))
		unescapeVars(r)
		if err := s.pass(w, r, rt); err != nil {
			s.problem(w, r, err)
		}
	})
}

// pass has rt answer who may, if there is room; none is taken by who is held back.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, rt route) error {
	if err := s.admit(w, r, rt); err != nil {
		return err
	}
	leave, err := s.enter(rt)
	if err != nil {
		return err
	}
	defer leave()
	return rt.handle(w, r)
}

// unescapeVars unescapes the parts of the path, which the router has as they came.
func unescapeVars(r *http.Request) {
	vars := mux.Vars(r)
	for name, value := range vars {
		vars[name] = unescaped(value)
	}
}

func (s *Server) bodyBytes(rt route) int64 {
	switch {
	case rt.least == roleHook:
		return s.cfg.Limits.HookBytes
	case rt.path == previewPath:
		return s.cfg.Limits.SnapshotBytes
	}
	return s.cfg.Limits.BodyBytes
}

func (s *Server) admit(w http.ResponseWriter, r *http.Request, rt route) error {
	least := rt.least
	if s.crossSite.Check(r) != nil {
		return errCrossSite // a browser sends what it knows of credentials with it
	}
	if least == roleHook || least == roleAnyone {
		if err := s.checkHost(r); err != nil || least == roleAnyone || !s.cfg.ReadOnly {
			return err // a secret that it may bring is no token, or not needed
		}
		return fleet.ErrReadOnly // the one who leads must hear it
	}
	who, err := s.authenticate(r, least == roleBootstrap)
	if x, ok := w.(*exchange); ok {
		x.who = who
	}
	if err != nil {
		return err
	}
	if err := s.checkRate(rt, who); err != nil {
		return err
	}
	return s.allows(who, rt)
}

// allows returns why who is known must not do what the route does.
func (s *Server) allows(who identity, rt route) error {
	least := rt.least
	switch {
	case least == roleBootstrap && who.role != roleBootstrap && who.role != roleCluster && who.role != roleAdmin:
		return fmt.Errorf("%w: a cluster is registered with a bootstrap token, or its own", fleet.ErrForbidden)
	case who.role < least && who.role == roleBootstrap:
		return fmt.Errorf("%w: a bootstrap token registers clusters, and nothing else", fleet.ErrForbidden)
	case who.role < least && who.role == roleCluster:
		return fmt.Errorf("%w: a cluster's credential reads /api/v1/flux/clusters/%s/{set} and nothing else", fleet.ErrForbidden, who.cluster)
	case who.role < least:
		return fmt.Errorf("%w: ask for a credential of a higher role", fleet.ErrForbidden)
	case s.cfg.ReadOnly && rt.method != http.MethodGet && rt.path != previewPath: // which keeps nothing
		return fleet.ErrReadOnly
	}
	return nil
}

// mayPoll tells whether who may read the inputs of the cluster that was asked
// for, by name or dns; m is nil where there is none. A cluster learns of others
// neither what they get nor whether they exist.
func (who identity) mayPoll(asked string, m *fleet.Member) bool {
	if who.role != roleCluster {
		return who.role >= roleViewer
	}
	if m != nil {
		asked = m.Cluster.Name
	}
	return asked == who.cluster
}

// CheckAddress returns why the server must not answer on addr, nil if it may:
// where everybody is admin, that must be the machine itself, or asked for. Call
// it as soon as the address is known; Serve does so again.
func (s *Server) CheckAddress(addr net.Addr) error {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	s.public.Store(true)
	if s.cfg.AllowAnonymous || s.guarded() || s.fleet.Tokens().Admins(time.Now()) {
		return nil
	}
	return fmt.Errorf("on %s everybody who reaches the server would be admin: create a token with tributary token create --store, "+
		"give it a tokens file, admin token file, client CA or OpenID Connect issuer, listen on 127.0.0.1, or allow that with --insecure-allow-anonymous", addr)
}
