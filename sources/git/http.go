package git

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// httpDialer connects to a repository over http or https. It has its own
// connections: the ones that go-git finds by scheme belong to the whole
// process, so a time limit or certificate set there would apply to every
// source.
type httpDialer struct {
	url   *url.URL
	pool  *transport.Pool
	token gitToken
	// bearer is true once the server has asked for the token as a bearer token.
	// Later fetches then send it that way at once.
	bearer atomic.Bool
	most   int64
}

func newHTTPDialer(c Config) (dialer, error) {
	u, o := c.URL, c.Options
	token := gitToken{o.TokenFile, o.Username}
	if token.file != "" && u.Scheme == "http" && !c.PlainHTTP && !isLoopback(u.Hostname()) {
		return nil, message.Invalid("the token in --git-token-file would be sent over the network unencrypted: use https, or allow it with --plain-http")
	}
	return &httpDialer{url: u, pool: transport.NewPool(c.TLS), token: token, most: boundsOf(c.Limits, true).transfer}, nil
}

func (d *httpDialer) close() { d.pool.Close() }

// dial takes one round trip, unless the server first says how it wants the
// token.
func (d *httpDialer) dial(ctx context.Context) (*remote, error) {
	token, err := d.token.read()
	if err != nil {
		return nil, err
	}
	next, err := d.pool.Transport()
	if err != nil {
		return nil, err
	}
	x := &fetchTransport{next: next, stall: transport.StallTimeout, most: d.most, origin: d.url, token: token != ""}
	bearer := d.bearer.Load()
	r, err := d.list(ctx, x, d.auth(token, bearer))
	if err != nil && x.wantsOtherScheme(bearer) {
		d.bearer.Store(!bearer)
		r, err = d.list(ctx, x, d.auth(token, !bearer))
	}
	if err != nil {
		return nil, x.explain(err)
	}
	return r, nil
}

func (d *httpDialer) list(ctx context.Context, x *fetchTransport, shown gittransport.AuthMethod) (*remote, error) {
	// A server may redirect when its refs are listed, and only then. go-git
	// does not follow redirects from https to http, and drops credentials if
	// the host changes.
	client := githttp.NewClientWithOptions(&http.Client{Transport: x}, &githttp.ClientOptions{RedirectPolicy: githttp.FollowInitialRedirects})
	endpoint := d.endpoint()
	s, err := client.NewUploadPackSession(endpoint, shown)
	if err != nil {
		return nil, err
	}
	r, err := listRefs(ctx, s)
	if err != nil {
		return nil, err
	}
	// go-git stores the path after redirects, without escapes.
	endpoint.Path = (&url.URL{Path: endpoint.Path, RawPath: d.url.RawPath}).EscapedPath()
	r.session = &httpSession{r.session, x}
	return r, nil
}

func (d *httpDialer) auth(token string, bearer bool) gittransport.AuthMethod {
	switch {
	case token == "":
		return nil
	case bearer:
		return &githttp.TokenAuth{Token: token}
	}
	return &githttp.BasicAuth{Username: d.token.user(), Password: token}
}

// endpoint returns a new endpoint for each connection, because a redirect
// changes it.
func (d *httpDialer) endpoint() *gittransport.Endpoint {
	host := d.url.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port, _ := strconv.Atoi(d.url.Port())
	// go-git puts the path into a URL unchanged.
	return &gittransport.Endpoint{Protocol: d.url.Scheme, Host: host, Port: port, Path: d.url.EscapedPath()}
}

// httpSession replaces go-git's errors with more useful ones.
type httpSession struct {
	session
	transport *fetchTransport
}

func (s *httpSession) UploadPack(ctx context.Context, r *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	response, err := s.session.UploadPack(ctx, r)
	switch body := s.transport.body; {
	case err != nil && body != nil && body.Left <= 0:
		return nil, body.Err // go-git keeps only the text of this error.
	case err != nil:
		return nil, s.transport.explain(err)
	}
	s.transport.body.Left, s.transport.body.Err = s.transport.most, errTooMuch // The pack follows.
	return response, nil
}
