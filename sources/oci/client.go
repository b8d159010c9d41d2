package oci

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/oci/cloud"
	"oras.land/oras-go/v2/registry"
	ociremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Client is a client for the registry of one artifact. Between fetches it keeps
// connections and the registry's tokens. It is safe for concurrent use.
type Client struct {
	// Retries are those of each request.
	Retries transport.Retries

	at         registry.Reference
	plainHTTP  bool
	configFile string
	pool       *transport.Pool
	// identity gives the credentials, if a provider is named.
	identity *cloud.Identity

	mu sync.Mutex
	// tokens are the tokens that were sent last. The next request sends them at
	// once.
	tokens auth.Cache
	// configDigest is the digest of the configuration that tokens were obtained
	// with.
	configDigest [sha256.Size]byte
}

// NewClient returns a client with few retries. It connects to nothing yet.
func NewClient(c Config) *Client {
	client := &Client{
		at:        registry.Reference{Registry: c.Reference.Registry, Repository: canonicalRepository(c.Reference)},
		plainHTTP: c.PlainHTTP, configFile: c.Options.ConfigFile, pool: transport.NewPool(c.TLS, c.Proxy), Retries: transport.FetchRetries,
	}
	if c.Options.Provider != "" {
		client.identity = cloud.New(c.Options.Provider)
	}
	return client
}

// canonicalRepository returns the repository's name at the registry. Docker Hub
// keeps repositories without a user under library.
func canonicalRepository(a Reference) string {
	if (a.Registry == "docker.io" || a.Registry == "index.docker.io") && !strings.Contains(a.Repository, "/") {
		return "library/" + a.Repository
	}
	return a.Repository
}

// Dial reads certificates and credentials from their files and returns a
// repository that uses them. It sends no request. The result is for one fetch
// or push, because the files may change.
func (c *Client) Dial() (*ociremote.Repository, error) {
	next, err := c.pool.Transport()
	if err != nil {
		return nil, err
	}
	config, err := readDockerConfig(c.configFile)
	if err != nil {
		return nil, err
	}
	client := &auth.Client{
		Client:     &http.Client{Transport: clientTransport{c.Retries.Transport(next), c.at.Host(), config.token(c.at), transport.StallTimeout}, CheckRedirect: c.checkRedirect},
		Header:     http.Header{"User-Agent": {"tributary"}},
		ClientID:   "tributary",
		Credential: c.credentialFunc(config, next),
		Cache:      c.tokenCache(config),
	}
	return &ociremote.Repository{
		Client: client, Reference: c.at, PlainHTTP: c.plainHTTP,
		TagListPageSize: tagsPerPage, TagListMaxPages: maxTagPages,
		MaxMetadataBytes: maxManifest,
	}, nil
}

const (
	// maxManifest is the size that registries themselves accept for a manifest.
	maxManifest = 4 << 20
	maxTags     = 100_000
	maxTagBytes = 32 << 20
	// tagsPerPage is the requested page size. A registry may return fewer tags,
	// so the number of pages is bounded too.
	tagsPerPage = 1000
	maxTagPages = 1000
)

// credentialFunc returns credentials for the registry only, so a host that it
// redirects to never gets them.
func (c *Client) credentialFunc(config *dockerConfig, next *http.Transport) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		if host != c.at.Host() {
			return auth.EmptyCredential, nil
		}
		var credential auth.Credential
		var err error
		if c.identity != nil {
			credential, err = c.identity.Credential(ctx, next, host)
		} else {
			credential, err = config.credential(ctx, c.at)
		}
		if err != nil && ctx.Err() == nil {
			err = credentialFileError{err}
		}
		return credential, err
	}
}

// tokenCache returns the tokens for a configuration. It drops the tokens of an
// earlier configuration, because removed credentials must not be used any more.
func (c *Client) tokenCache(config *dockerConfig) auth.Cache {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil || c.configDigest != config.digest {
		c.tokens, c.configDigest = auth.NewSingleContextCache(), config.digest
	}
	return c.tokens
}

// clearTokens drops tokens that the registry has rejected. A token that has
// lost its rights is rejected too.
func (c *Client) clearTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = nil
}

// Close closes idle connections.
func (c *Client) Close() { c.pool.Close() }

var errDowngrade = errors.New("it redirects from https to http, which anyone on the network can read; configure the registry to redirect to https")

// checkRedirect allows redirects of blobs. oras-go removes the credentials
// before it follows one.
func (c *Client) checkRedirect(to *http.Request, via []*http.Request) error {
	switch {
	case to.URL.Scheme != "https" && !c.plainHTTP:
		return errDowngrade
	case len(via) >= 10:
		return errors.New("it redirects in a circle")
	}
	return nil
}
