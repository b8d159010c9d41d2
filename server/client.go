package server

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
)

// ClientConfig says which server is asked, and who asks.
type ClientConfig struct {
	// URL is where the server is, such as https://tributary.example.com; it may
	// have a path, for a server behind a proxy, and no credentials.
	URL string
	// Token is sent with every request; empty for none. It is refused for a URL of
	// http unless the host is this machine, because others would read it on the way.
	Token string
	// CAFile holds certificates to trust beside the machine's own, CertFile and
	// KeyFile the client's certificate. All are PEM.
	CAFile, CertFile, KeyFile string
	// Version is what the User-Agent says is asking.
	Version string
}

// Client asks a server. Its methods may be called from many goroutines. What the
// server refuses is a *Refusal.
type Client struct {
	base  string
	token string
	agent string
	http  *http.Client
}

// longestExchange is more than the server takes for any answer.
const longestExchange = 2 * time.Minute

// NewClient returns a client, or what is wrong with cfg. It asks nothing yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	base, err := parseServer(cfg.URL)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(cfg.Token)
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token must be one word of printable ASCII")
	}
	if token != "" && base.Scheme == "http" && !loopbackHost(base.Host) {
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
		http: &http.Client{Transport: transport, Timeout: longestExchange, CheckRedirect: stay},
	}, nil
}

// stay has a redirect be an answer like any other: a token must not be taken
// elsewhere, and a write would become a read.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func parseServer(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the server's URL cannot be parsed; it is like https://tributary.example.com")
	case u.User != nil:
		return nil, fmt.Errorf("server %s: credentials must not stand in the URL; put a token into a file", u.Host)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("server %q: must be a URL such as https://tributary.example.com", text)
	}
	return u, nil
}

func (cfg ClientConfig) tls() (*tls.Config, error) {
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
			return nil, fmt.Errorf("%s: holds no certificate in PEM form", cfg.CAFile)
		}
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, errors.New("a client certificate needs both its file and its key's: name the other one as well")
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
