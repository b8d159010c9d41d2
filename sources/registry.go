package sources

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"

	"oras.land/oras-go/v2/registry"
	ociremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// registryClient talks to the registry that has one artifact. It keeps
// connections, and what the registry gave for credentials, between looks. It is
// safe for concurrent use.
type registryClient struct {
	at         registry.Reference
	plainHTTP  bool
	configFile string
	pool       *pool

	mu sync.Mutex
	// tokens are what was shown to the registry last, so that the next request
	// shows it at once.
	tokens auth.Cache
	// of is the content of the configuration that tokens were had with.
	configDigest [sha256.Size]byte
}

func newRegistry(a artifact, o Options) *registryClient {
	return &registryClient{
		at:        registry.Reference{Registry: a.registry, Repository: canonicalRepository(a)},
		plainHTTP: o.PlainHTTP, configFile: o.OCI.ConfigFile, pool: &pool{files: o.TLS},
	}
}

// canonicalRepository is the name at the registry. Docker's own has those
// without a user under library, and no other place for them.
func canonicalRepository(a artifact) string {
	if (a.registry == "docker.io" || a.registry == "index.docker.io") && !strings.Contains(a.repository, "/") {
		return "library/" + a.repository
	}
	return a.repository
}

// dial reads certificates and credentials from their files, and gives a
// repository that uses them. No request is made. What it gives is for one fetch
// or push, because the files may be others by the next.
func (c *registryClient) dial() (*ociremote.Repository, error) {
	transport, err := c.pool.transport()
	if err != nil {
		return nil, err
	}
	config, err := readDockerConfig(c.configFile)
	if err != nil {
		return nil, err
	}
	client := &auth.Client{
		Client:     &http.Client{Transport: registryTransport{transport, stallTimeout}, CheckRedirect: c.checkRedirect},
		Header:     http.Header{"User-Agent": {"tributary"}},
		ClientID:   "tributary",
		Credential: c.credentialFunc(config),
		Cache:      c.tokenCache(config),
	}
	return &ociremote.Repository{
		Client: client, Reference: c.at, PlainHTTP: c.plainHTTP,
		TagListPageSize: tagsPerPage, TagListMaxPages: maxTagPages,
		MaxMetadataBytes: maxManifest,
	}, nil
}

const (
	// maxManifest is what registries themselves take as a manifest.
	maxManifest = 4 << 20
	maxTags     = 100_000
	maxTagBytes = 32 << 20
	// tagsPerPage is what is asked for. Registries may give fewer, hence the other
	// bound.
	tagsPerPage = 1000
	maxTagPages = 1000
)

// credentialsFrom answers for the registry alone: a name that it redirects to
// must not be given what was meant for it.
func (c *registryClient) credentialFunc(config *dockerConfig) auth.CredentialFunc {
	return func(ctx context.Context, host string) (auth.Credential, error) {
		if host != c.at.Host() {
			return auth.EmptyCredential, nil
		}
		credential, err := config.credential(ctx, c.at)
		if err != nil && ctx.Err() == nil {
			err = credentialFileError{err}
		}
		return credential, err
	}
}

// tokensOf forgets the tokens when the configuration has changed: what is no
// longer in it must not be used on.
func (c *registryClient) tokenCache(config *dockerConfig) auth.Cache {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil || c.configDigest != config.digest {
		c.tokens, c.configDigest = auth.NewSingleContextCache(), config.digest
	}
	return c.tokens
}

// forget is for tokens that the registry has turned down, which it may do with
// one that has merely lost its rights.
func (c *registryClient) clearTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = nil
}

func (c *registryClient) close() { c.pool.close() }

var errDowngrade = errors.New("it redirects from https to http, which anyone on the network can read; configure the registry to redirect to https")

// checkRedirect lets registries send blobs from elsewhere. oras-go takes the
// credentials off before.
func (c *registryClient) checkRedirect(to *http.Request, via []*http.Request) error {
	switch {
	case to.URL.Scheme != "https" && !c.plainHTTP:
		return errDowngrade
	case len(via) >= 10:
		return errors.New("it redirects in a circle")
	}
	return nil
}
