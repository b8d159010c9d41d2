package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

// TLS names PEM files.
type TLS struct {
	// CAFile contains the certificates of authorities that are trusted in
	// addition to the system's.
	CAFile string
	// CertFile and KeyFile are the client certificate and its key, for servers
	// that request one.
	CertFile, KeyFile string
}

// Pool keeps connections to one source's HTTP server, with certificates read
// from files. It is safe for concurrent use.
type Pool struct {
	files TLS
	proxy Proxy

	mu   sync.Mutex
	last *http.Transport
	// contentDigest is the digest of the files that last was made from.
	contentDigest [sha256.Size]byte
}

// NewPool returns a pool without connections.
func NewPool(files TLS, proxy Proxy) *Pool { return &Pool{files: files, proxy: proxy} }

// Transport returns the current transport. It is created again when the files
// have changed.
func (p *Pool) Transport() (*http.Transport, error) {
	content, err := p.files.read()
	if err != nil {
		return nil, err
	}
	through, err := p.proxy.read()
	if err != nil {
		return nil, err
	}
	if through != nil {
		content.proxy = through.String()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && p.contentDigest == content.digest() {
		return p.last, nil
	}
	config, err := content.config(p.files)
	if err != nil {
		return nil, err
	}
	if p.last != nil {
		p.last.CloseIdleConnections()
	}
	p.contentDigest, p.last = content.digest(), newTransport(config, forRequest(through))
	return p.last, nil
}

// HasCertificate reports whether there is a client certificate.
func (p *Pool) HasCertificate() bool { return p.files.CertFile != "" }

// Close closes idle connections.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		p.last.CloseIdleConnections()
	}
}

func newTransport(config *tls.Config, through func(*http.Request) (*url.URL, error)) *http.Transport {
	return &http.Transport{
		Proxy:                 through,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		TLSClientConfig:       config,
		ResponseHeaderTimeout: time.Minute,     // A server may count objects for a long time before it answers.
		IdleConnTimeout:       5 * time.Minute, // Longer than the usual interval between fetches.
		ForceAttemptHTTP2:     true,
	}
}

// tlsContent is the content of the files of TLS, and the proxy's URL.
type tlsContent struct {
	ca, cert, key []byte
	proxy         string
}

func (o TLS) read() (c tlsContent, err error) {
	for _, f := range []struct {
		option, name string
		into         *[]byte
	}{{"--ca-file", o.CAFile, &c.ca}, {"--client-cert-file", o.CertFile, &c.cert}, {"--client-key-file", o.KeyFile, &c.key}} {
		if f.name == "" {
			continue
		}
		if *f.into, err = os.ReadFile(f.name); err != nil {
			return c, fmt.Errorf("%s: %w", f.option, err)
		}
	}
	return c, nil
}

func (c tlsContent) digest() [sha256.Size]byte {
	hash := sha256.New()
	for _, part := range [][]byte{c.ca, c.cert, c.key, []byte(c.proxy)} {
		fmt.Fprintf(hash, "%d ", len(part))
		hash.Write(part)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

func (c tlsContent) config(from TLS) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca != nil {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("the machine's certificates: %w", err)
		}
		if !roots.AppendCertsFromPEM(c.ca) {
			return nil, fmt.Errorf("%s: contains no certificate in PEM format", from.CAFile)
		}
		config.RootCAs = roots
	}
	if c.cert != nil || c.key != nil {
		pair, err := tls.X509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", from.CertFile, from.KeyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
