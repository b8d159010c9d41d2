package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// loadOIDC prepares what Config says of OpenID Connect; nobody is asked yet.
func (s *Server) loadOIDC() error {
	if s.cfg.OIDCIssuer == "" {
		return nil
	}
	if err := checkIssuer(s.cfg.OIDCIssuer); err != nil {
		return err
	}
	s.issuer = &issuer{url: s.cfg.OIDCIssuer, audience: s.cfg.OIDCAudience, log: s.log, patience: 3 * time.Second}
	s.issuer.client.Store(issuerClient(nil))
	s.rules = &oidcRules{file: s.cfg.OIDCRulesFile}
	s.reloaders = append(s.reloaders, s.newReloader("oidc_rules", s.rules.use, s.cfg.OIDCRulesFile))
	if s.cfg.OIDCCAFile != "" {
		s.reloaders = append(s.reloaders, s.newReloader("oidc_ca", s.issuer.trust(s.cfg.OIDCCAFile), s.cfg.OIDCCAFile))
	}
	return nil
}

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the OpenID Connect issuer must be an https URL without user, query and fragment, as its tokens have it under iss")
	}
	return nil
}

// trust has the CAs of a file trusted for the issuer.
func (i *issuer) trust(file string) func([][]byte) error {
	return func(contents [][]byte) error {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without any
		}
		if !pool.AppendCertsFromPEM(contents[0]) {
			return fmt.Errorf("%w: %s: holds no certificate in PEM", fleet.ErrInvalid, file)
		}
		i.client.Store(issuerClient(pool))
		return nil
	}
}

// issuerClient talks https alone, wherever it is redirected to, and reads no
// more than issuers have to say. Its caller bounds the time.
func issuerClient(cas *x509.CertPool) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cas}
	transport.IdleConnTimeout = time.Second // the next request is minutes away
	return &http.Client{Transport: onlyHTTPS{transport}}
}

type onlyHTTPS struct{ next http.RoundTripper }

const mostIssuerBytes = 1 << 20

// RoundTrip implements http.RoundTripper.
func (o onlyHTTPS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, errors.New("an address is not https")
	}
	response, err := o.next.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, mostIssuerBytes)
	}
	return response, err
}

// unreachable says why an issuer does not answer, without what it sent: that may
// be long, and anything.
func unreachable(err error) error {
	var mismatch *oidc.IssuerMismatchError
	var failed *url.Error
	switch {
	case errors.As(err, &mismatch):
		return errors.New("it calls itself by another URL than the one that was given")
	case errors.As(err, &failed):
		return failed.Err
	}
	return errors.New("its description, under /.well-known/openid-configuration, cannot be had or read")
}

// isJWT goes by shape: two dots, and a JSON object in base64 ahead of them.
func isJWT(token string) bool {
	return len(token) <= longestJWT && strings.HasPrefix(token, "ey") && strings.Count(token, ".") == 2
}

// bearer tells who brings a JWT.
func (s *Server) bearer(ctx context.Context, token string) (identity, error) {
	claims, err := s.issuer.verify(ctx, token)
	switch {
	case errors.Is(err, api.ErrIssuer):
		return identity{}, err // no failed attempt: the token may be good
	case err != nil:
		return identity{}, &failedAttempt{kind: "jwt", credential: token, err: err}
	}
	return s.rules.current.Load().identify(claims)
}

// claimsOf keeps numbers as they are written: an id may have more digits than a
// float64 can hold.
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

// jwtFault says what is wrong with a JWT to who brought it, without repeating
// what is in it.
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
