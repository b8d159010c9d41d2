// Package client is the HTTP client of a Tributary server. The command line uses it,
// and so can any Go program:
//
//	c, err := client.New(client.Config{URL: "https://tributary.example.com", Token: token})
//	...
//	clusters, err := c.Clusters(ctx, "environment=prod")
//	if errors.Is(err, fleet.ErrNotReady) {
//		...
//	}
//
// An error that the server reports is a *Refusal, in which errors.Is finds the errors
// of package fleet. Retryable reports whether another attempt can succeed.
//
// The client follows no redirect, sends its token to the configured server alone, and
// never repeats a write by itself.
package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/server/api"
)

// Config says which server is called, and with which credential.
type Config struct {
	// URL is the address of the server, such as https://tributary.example.com. It may
	// have a path, for a server behind a proxy, but no credentials.
	URL string
	// Token is sent with every request; empty for none. New refuses one for an http
	// URL of another machine, because it could be read on the way.
	Token string
	// CAFile holds certificates to trust beside the machine's own. CertFile and
	// KeyFile hold the client's certificate. All are PEM files.
	CAFile, CertFile, KeyFile string
	// Version is sent in the User-Agent.
	Version string
}

// Client calls the API of one server. Its methods may be called concurrently.
type Client struct {
	base  string
	token string
	agent string
	http  *http.Client
}

// requestTimeout is more than the server takes for any answer.
const requestTimeout = 2 * time.Minute

// New returns a client, or an error that says what is wrong with cfg. It does not
// connect.
func New(cfg Config) (*Client, error) {
	base, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(cfg.Token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token must be one word of printable ASCII")
	}
	if token != "" && base.Scheme == "http" && !api.IsLoopback(base.Host) {
		return nil, fmt.Errorf("server %s: a token is sent over https only, or to this machine", base)
	}
	config, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &Client{
		base: strings.TrimSuffix(base.String(), "/"), token: token, agent: "tributary/" + cfg.Version,
		http: &http.Client{Transport: transport, Timeout: requestTimeout, CheckRedirect: refuseRedirect},
	}, nil
}

// refuseRedirect makes a redirect an answer like any other. Following it would send the
// token elsewhere and turn a write into a read.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the server's URL cannot be parsed; an example is https://tributary.example.com")
	case u.User != nil:
		return nil, fmt.Errorf("server %s: credentials are not allowed in the URL; put the token into a file", u.Host)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("server %q: must be a URL such as https://tributary.example.com", text)
	}
	return u, nil
}

func (cfg Config) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, err
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("the machine's certificates: %w", err)
		}
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s: contains no certificate in PEM form", cfg.CAFile)
		}
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("a client certificate needs a certificate file and a key file")
	}
	if cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
