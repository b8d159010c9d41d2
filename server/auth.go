package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
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
	cluster string // the one cluster of a cluster's credential
}

var errMissing = fmt.Errorf("%w: send a token, as \"Authorization: Bearer <token>\" or as the password of HTTP Basic",
	fleet.ErrUnauthenticated)

var errUnknown = fmt.Errorf("%w: the token is not one of this server's, or it was revoked", fleet.ErrUnauthenticated)

var errCrossSite = fmt.Errorf("%w: a page of another site had the browser send this: send it without a browser", fleet.ErrForbidden)

// authenticate tells who sent r. Without tokens everybody is admin.
func (s *Server) authenticate(r *http.Request) (identity, error) {
	if s.tokens == nil {
		if err := s.checkHost(r); err != nil {
			return identity{}, err
		}
		return identity{name: "anonymous", role: roleAdmin}, nil
	}
	token := presented(r)
	if token == "" {
		return identity{}, errMissing
	}
	who, ok := s.tokens.find(token)
	if !ok {
		s.metrics.failedAuthentications.Inc()
		return identity{}, errUnknown
	}
	return who, nil
}

// checkHost returns why a server without tokens does not answer r: unless that
// was asked for, it answers only to a loopback name, because a web page can have
// its own name resolve to 127.0.0.1 and read what is served there.
func (s *Server) checkHost(r *http.Request) error {
	if s.tokens != nil || s.cfg.AllowAnonymous || loopbackHost(r.Host) {
		return nil
	}
	return fmt.Errorf("%w: without tokens, requests must be for localhost, 127.0.0.1 or [::1], not for %q", errMisdirected, r.Host)
}

// presented is the token that r carries, "" if none.
func presented(r *http.Request) string {
	authorization := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(authorization, " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	_, password, _ := r.BasicAuth()
	return password
}

// guard lets through to rt who may; the rest get a problem.
func (s *Server) guard(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x, ok := w.(*exchange); ok {
			x.route = rt
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.bodyBytes(rt))
		err := s.admit(w, r, rt.least)
		if err == nil {
			err = rt.handle(w, r)
		}
		if err != nil {
			s.problem(w, r, err)
		}
	})
}

func (s *Server) bodyBytes(rt route) int64 {
	if rt.least == roleHook {
		return s.cfg.Limits.HookBytes
	}
	return s.cfg.Limits.BodyBytes
}

func (s *Server) admit(w http.ResponseWriter, r *http.Request, least role) error {
	if s.crossSite.Check(r) != nil {
		return errCrossSite // a browser sends what it knows of credentials with it
	}
	if least == roleHook {
		return s.checkHost(r) // a secret that it may bring is no token
	}
	who, err := s.authenticate(r)
	if x, ok := w.(*exchange); ok {
		x.who = who.name
	}
	switch {
	case errors.Is(err, errMisdirected):
		return err // holds for open routes too
	case least == roleAnyone:
		return nil
	case err != nil:
		return err
	case who.role < least && who.role == roleCluster:
		return fmt.Errorf("%w: a cluster's token reads /api/v1/flux/clusters/%s/{set} and nothing else", fleet.ErrForbidden, who.cluster)
	case who.role < least:
		return fmt.Errorf("%w: ask for a token of a higher role", fleet.ErrForbidden)
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
	if s.tokens != nil || s.cfg.AllowAnonymous {
		return nil
	}
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("on %s everybody who reaches the server would be admin: give it a tokens file, "+
		"listen on 127.0.0.1, or allow that with --insecure-allow-anonymous", addr)
}

// loopbackHost tells whether a Host header, with or without a port, names this machine.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}
