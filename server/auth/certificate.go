package auth

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// clientCAs are the authorities whose certificates clusters may show instead of a token.
type clientCAs struct {
	file    string
	current atomic.Pointer[authorities]
}

type authorities struct {
	pool *x509.CertPool
	ders map[string]bool // the authorities' certificates, in DER
}

// use takes the content of the file, all or nothing.
func (c *clientCAs) use(contents [][]byte) error {
	all, err := parseAuthorities(c.file, contents[0])
	if err != nil {
		return err
	}
	c.current.Store(all)
	return nil
}

// parseAuthorities is stricter than x509.CertPool, which skips what it cannot read: a
// skipped CA would lock its clusters out.
func parseAuthorities(file string, content []byte) (*authorities, error) {
	all := &authorities{pool: x509.NewCertPool(), ders: map[string]bool{}}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: %s: contains a %s: leave only certificates of CAs in it", fleet.ErrInvalid, file, block.Type)
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: certificate %d: %w", fleet.ErrInvalid, file, len(all.ders)+1, err)
		}
		if !ca.BasicConstraintsValid || !ca.IsCA {
			return nil, fmt.Errorf("%w: %s: the certificate of %q is not a CA's: name the CA that signs the clusters' certificates", fleet.ErrInvalid, file, ca.Subject)
		}
		all.pool.AddCert(ca)
		all.ders[string(ca.Raw)] = true
	}
	if len(all.ders) == 0 {
		return nil, fmt.Errorf("%w: %s: contains no certificate in PEM", fleet.ErrInvalid, file)
	}
	return all, nil
}

// configure makes each handshake of base ask for a certificate, and reject one that no
// current CA has signed. A client without a certificate gets through.
func (c *clientCAs) configure(base *tls.Config) {
	plain := base.Clone()
	plain.NextProtos = []string{"h2", "http/1.1"} // net/http adds these to base alone
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := plain.Clone()
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, c.current.Load().pool
		return config, nil
	}
}

// vouchFor reports whether a chain that the handshake verified is still valid.
// Connections live long and sessions are resumed, also while the file changes.
func (a *authorities) vouchFor(chain []*x509.Certificate, now time.Time) bool {
	for _, c := range chain {
		if now.After(c.NotAfter) {
			return false
		}
	}
	return a.ders[string(chain[len(chain)-1].Raw)]
}

// certified returns the cluster that the certificate of r's connection is for.
func (a *Authenticator) certified(r *http.Request) (Identity, error) {
	if a.clientCAs == nil || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Identity{}, errMissing
	}
	leaf, all, now := r.TLS.PeerCertificates[0], a.clientCAs.current.Load(), a.cfg.Now()
	remedy := ""
	switch {
	case !slices.ContainsFunc(r.TLS.VerifiedChains, func(c []*x509.Certificate) bool { return all.vouchFor(c, now) }):
		remedy = "has expired, or its CA is no longer trusted: renew it and open a new connection"
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		remedy = "is not for client authentication: it needs that extended key usage" // crypto/x509 accepts one without any
	case !dnsLabel.MatchString(leaf.Subject.CommonName):
		remedy = "names no cluster: its common name must be the cluster's name"
	}
	if remedy != "" {
		err := fmt.Errorf("%w: the client certificate %s", fleet.ErrUnauthenticated, remedy)
		return Identity{}, &failedAttempt{kind: failedCertificate, credential: string(leaf.Raw), err: err}
	}
	name := leaf.Subject.CommonName
	return Identity{Name: "certificate " + name, Role: Cluster, Cluster: name}, nil
}
