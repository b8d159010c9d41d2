package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
)

// authority is a CA that issues clusters' certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return &authority{t, cert, key}
}

func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

// issue issues a client certificate for a common name; adjust changes it.
func (a *authority) issue(name string, adjust ...func(*x509.Certificate)) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, m := range adjust {
		m(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(a.t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// withClientCA starts a server that accepts certificates of the CAs in file.
func withClientCA(t *testing.T, file string, adjust ...func(*server.Config)) *harness {
	t.Helper()
	h := overHTTP2(t, append(adjust, func(c *server.Config) { c.ClientCAFile, c.Reload = file, time.Millisecond })...)
	h.release("main@sha1:1", acme("main@sha1:1"))
	return h
}

// as makes the client show a certificate, or none for nil, on new connections. The client
// keeps its sessions, to resume them.
func (h *harness) as(cert *tls.Certificate) *tls.Config {
	h.t.Helper()
	h.client.CloseIdleConnections()
	config := h.client.Transport.(*checked).next.(*http.Transport).TLSClientConfig.Clone()
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return &tls.Certificate{}, nil
		}
		return cert, nil // even if the server does not ask for one of its CA
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	h.client.Transport = newChecked(h.t, transport)
	return config
}

// poll returns the status of a poll, or 0 if the handshake fails.
func (h *harness) poll(headers ...string) int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.url+kedaPath, nil)
	must(h.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := h.client.Do(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestACertificateIsTheCredentialOfItsCluster(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "fleet"), newAuthority(t, "fleet")
	h := withClientCA(t, writeFile(t, "ca.pem", newAuthority(t, "another").pem()+ca.pem()), withTokens(t))
	usage := func(all ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = all }
	}
	for what, c := range map[string]struct {
		cert          *tls.Certificate
		authorization string
		want          int // 0 for a handshake that fails
	}{
		"its own":                        {cert: ca.issue("eu-prod-01"), want: 200},
		"another cluster's":              {cert: ca.issue("eu-prod-02"), want: 403},
		"none":                           {want: 401},
		"of another CA of the same name": {cert: other.issue("eu-prod-01"), want: 0},
		"of another CA, beside a token":  {cert: other.issue("eu-prod-01"), authorization: "Bearer " + clusterToken, want: 0},
		"expired":                        {cert: ca.issue("eu-prod-01", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), want: 0},
		"not valid yet":                  {cert: ca.issue("eu-prod-01", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }), want: 0},
		"a server's":                     {cert: ca.issue("eu-prod-01", usage(x509.ExtKeyUsageServerAuth)), want: 0},
		"both a server's and a client's": {cert: ca.issue("eu-prod-01", usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)), want: 200},
		"for no usage":                   {cert: ca.issue("eu-prod-01", usage()), want: 401},
		"for any usage":                  {cert: ca.issue("eu-prod-01", usage(x509.ExtKeyUsageAny)), want: 401},
		"without a name":                 {cert: ca.issue(""), want: 401},
		"with a name that is none":       {cert: ca.issue("eu-prod-01.example.com"), want: 401},
		"with the name as DNS name only": {cert: ca.issue("", func(c *x509.Certificate) { c.DNSNames = []string{"eu-prod-01"} }), want: 401},
		"beside a good token":            {cert: ca.issue("eu-prod-02"), authorization: "Bearer " + clusterToken, want: 200},
		"beside a bad token":             {cert: ca.issue("eu-prod-01"), authorization: "Bearer wrong", want: 401},
		"beside an empty Authorization":  {cert: ca.issue("eu-prod-01"), authorization: " ", want: 401},
		"beside another cluster's token": {cert: ca.issue("eu-prod-01"), authorization: "Bearer " + ghostToken, want: 403},
	} {
		h.as(c.cert)
		var headers []string
		if c.authorization != "" {
			headers = []string{"Authorization", c.authorization}
		}
		if got := h.poll(headers...); got != c.want {
			t.Errorf("%s = %d, want %d", what, got, c.want)
		}
	}
	h.as(ca.issue("eu-prod-01"))
	h.get("/api/v1/clusters").problem(t, http.StatusForbidden, "forbidden")
	entries := h.logs.lines(t, "request")
	if got := entries[len(entries)-1]["identity"]; got != "certificate eu-prod-01" {
		t.Errorf("identity = %v", got)
	}
	if got := h.metric(`tributary_authentication_failures_total{kind="certificate"}`); got != "5" {
		t.Errorf("failures of certificates = %q, want 5", got)
	}
}

func TestCertificatesAreAuthentication(t *testing.T) {
	t.Parallel()
	h := withClientCA(t, writeFile(t, "ca.pem", newAuthority(t, "fleet").pem()))
	h.as(nil)
	h.get("/api/v1/clusters").problem(t, http.StatusUnauthorized, "unauthenticated")
	h.get("/api/v1/clusters", bearer("x")...).problem(t, http.StatusUnauthorized, "unauthenticated")
	if strings.Contains(h.logs.String(), "is admin") {
		t.Error("the log says that everybody is admin")
	}
}

func TestCertificatesEndWithTheirCA(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		for _, protocol := range []string{"h2", "http/1.1"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				before, after := newAuthority(t, "before"), newAuthority(t, "after")
				file := writeFile(t, "ca.pem", before.pem())
				h := withClientCA(t, file)
				config := h.as(before.issue("eu-prod-01"))
				config.MaxVersion, config.NextProtos = version, []string{protocol}
				h.client.Transport.(*checked).next.(*http.Transport).ForceAttemptHTTP2 = protocol == "h2"
				if got := h.poll(); got != 200 {
					t.Fatalf("= %d, want 200", got)
				}
				h.client.CloseIdleConnections()
				if got, state := h.poll(), h.connect(config); got != 200 || !state.DidResume || state.NegotiatedProtocol != protocol {
					t.Fatalf("anew = %d, %+v, want 200 on a session that is resumed", got, state)
				}

				replaced["renamed over"](t, file, after.pem())
				eventually(t, func() bool { return strings.Contains(h.logs.String(), `"file":"client_ca"`) })
				if got := h.poll(); got != 401 { // on the open connection
					t.Errorf("on the connection of before = %d, want 401", got)
				}
				h.client.CloseIdleConnections()
				if got := h.poll(); got == 200 { // a resumed session, or a failed handshake
					t.Errorf("on a new connection = %d", got)
				}
				h.as(after.issue("eu-prod-01"))
				if got := h.poll(); got != 200 {
					t.Errorf("with a certificate of the new CA = %d, want 200", got)
				}

				replaced["renamed over"](t, file, "nonsense")
				eventually(t, func() bool { return strings.Contains(h.logs.String(), "contains no certificate in PEM") })
				if got := h.poll(); got != 200 {
					t.Errorf("with a bad file = %d, want what was read before", got)
				}
			})
		}
	}
}

// connect returns the state after a handshake with config.
func (h *harness) connect(config *tls.Config) tls.ConnectionState {
	h.t.Helper()
	conn, err := tls.Dial("tcp", h.addr, config)
	must(h.t, err)
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState()
}

// A connection may outlive the certificate that it was opened with.
func TestACertificateEndsWhenItExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "fleet")
		cert := ca.issue("eu-prod-01", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) })
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		must(t, err)
		tlsCert, tlsKey := certificateFor(t, "tributary")
		s := newServer(t, server.Config{
			ClientCAFile: writeFile(t, "ca.pem", ca.pem()),
			TLSCertFile:  writeFile(t, "tls.crt", tlsCert), TLSKeyFile: writeFile(t, "tls.key", tlsKey),
		})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, kedaPath, nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf, ca.cert}}}
		if who, err := s.Who(r); err != nil || who.Cluster != "eu-prod-01" {
			t.Errorf("= %+v, %v, want the cluster", who, err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := s.Who(r); !errors.Is(err, fleet.ErrUnauthenticated) {
			t.Errorf("expired = %v, want ErrUnauthenticated", err)
		}
	})
}

func TestClientCAFileMustHoldCAs(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "fleet")
	tlsCert, tlsKey := certificateFor(t, "tributary")
	certFile, keyFile := writeFile(t, "tls.crt", tlsCert), writeFile(t, "tls.key", tlsKey)
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.issue("eu-prod-01").Certificate[0]}))
	for content, want := range map[string]string{
		"":              "contains no certificate",
		leaf:            "is not a CA's",
		ca.pem() + leaf: "is not a CA's",
		tlsKey:          "contains a PRIVATE KEY",
		ca.pem() + strings.ReplaceAll(ca.pem(), "MII", "MIJ"): "certificate 2",
	} {
		file := writeFile(t, "ca.pem", content)
		_, err := server.New(server.Config{
			Fleet:       controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}}),
			TLSCertFile: certFile, TLSKeyFile: keyFile, ClientCAFile: file,
		})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%.40q: %v, want %s with the file", content, err, want)
		}
	}
}
