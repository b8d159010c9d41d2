package server

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
	pool  *x509.CertPool
	known map[string]bool // their certificates, in DER
}

// use takes the contents of the file, all or nothing.
func (c *clientCAs) use(contents [][]byte) error {
	all, err := parseAuthorities(c.file, contents[0])
	if err != nil {
		return err
	}
	c.current.Store(all)
	return nil
}

// parseAuthorities is stricter than x509.CertPool, which passes over what it
// cannot read: a CA left out would lock its clusters out.
func parseAuthorities(file string, content []byte) (*authorities, error) {
	all := &authorities{pool: x509.NewCertPool(), known: map[string]bool{}}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: %s: holds a %s: leave nothing in it but certificates of CAs", fleet.ErrInvalid, file, block.Type)
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: certificate %d: %w", fleet.ErrInvalid, file, len(all.known)+1, err)
		}
		if !ca.BasicConstraintsValid || !ca.IsCA {
			return nil, fmt.Errorf("%w: %s: the certificate of %q is not a CA's: name the CA that signs the clusters' certificates", fleet.ErrInvalid, file, ca.Subject)
		}
		all.pool.AddCert(ca)
		all.known[string(ca.Raw)] = true
	}
	if len(all.known) == 0 {
		return nil, fmt.Errorf("%w: %s: holds no certificate in PEM", fleet.ErrInvalid, file)
	}
	return all, nil
}

// ask has each handshake of base ask for a certificate, and refuse one that no
// CA which is current then has signed. Who has none gets through without.
func (c *clientCAs) ask(base *tls.Config) {
	plain := base.Clone()
	plain.NextProtos = []string{"h2", "http/1.1"} // what net/http adds to base alone
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := plain.Clone()
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, c.current.Load().pool
		return config, nil
	}
}

// vouch tells whether a chain that the handshake verified is still good.
// Connections live long and sessions are resumed, across changes of the file.
func (a *authorities) vouch(chain []*x509.Certificate, now time.Time) bool {
	for _, c := range chain {
		if now.After(c.NotAfter) {
			return false
		}
	}
	return a.known[string(chain[len(chain)-1].Raw)]
}

// certified tells which cluster the certificate of r's connection is of.
func (s *Server) certified(r *http.Request) (identity, error) {
	if s.clientCAs == nil || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return identity{}, errMissing
	}
	leaf, all := r.TLS.PeerCertificates[0], s.clientCAs.current.Load()
	remedy := ""
	switch {
	case !slices.ContainsFunc(r.TLS.VerifiedChains, func(c []*x509.Certificate) bool { return all.vouch(c, time.Now()) }):
		remedy = "has expired, or its CA is no longer trusted: renew it, and connect anew"
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		remedy = "is not made for client authentication: it needs that extended key usage" // crypto/x509 takes one without any
	case !dnsLabel.MatchString(leaf.Subject.CommonName):
		remedy = "names no cluster: its common name must be the cluster's name"
	}
	if remedy != "" {
		err := fmt.Errorf("%w: the client certificate %s", fleet.ErrUnauthenticated, remedy)
		return identity{}, &failedAttempt{kind: "certificate", credential: string(leaf.Raw), err: err}
	}
	name := leaf.Subject.CommonName
	return identity{name: "certificate " + name, role: roleCluster, cluster: name}, nil
}
