package sources

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// dialer opens connections to one repository. It has a go-git transport of its
// own: those that go-git looks up by scheme are the whole process's, and a
// time-out or a credential set there would be every source's.
type dialer struct {
	url       *url.URL
	transport transport.Transport
	close     func()
}

func newDialer(u *url.URL, limits Limits) dialer {
	if u.Scheme == "file" {
		return dialer{u, file.DefaultClient, func() {}}
	}
	pool := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute, // A server may count objects for long before it answers.
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
	client := &http.Client{Transport: cappedTransport{pool, maxTransfer(limits)}}
	// A repository that has moved may say so when its branches are listed, and
	// only then. go-git follows to no lesser scheme, and drops credentials
	// where the host changes.
	initial := &githttp.ClientOptions{RedirectPolicy: githttp.FollowInitialRedirects}
	return dialer{u, githttp.NewClientWithOptions(client, initial), pool.CloseIdleConnections}
}

// endpoint is made anew for each connection, because a redirect changes it.
func (d dialer) endpoint() *transport.Endpoint {
	host := d.url.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port, _ := strconv.Atoi(d.url.Port())
	e := &transport.Endpoint{Protocol: d.url.Scheme, Host: host, Port: port, Path: d.url.Path}
	if d.url.Scheme != "file" {
		e.Path = d.url.EscapedPath() // go-git puts it into a URL as it is.
	}
	return e
}

// dial connects and lists the refs of the repository, in one round trip.
func (d dialer) dial(ctx context.Context) (*remote, error) {
	endpoint := d.endpoint()
	session, err := d.transport.NewUploadPackSession(endpoint, nil)
	if err != nil {
		return nil, err
	}
	refs, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = session.Close() // It has failed already.
		return nil, err
	}
	if d.url.Scheme != "file" {
		// go-git has put there where it was redirected to, without escapes.
		endpoint.Path = (&url.URL{Path: endpoint.Path, RawPath: d.url.RawPath}).EscapedPath()
	}
	return &remote{session, refs}, nil
}

// maxTransfer is the most bytes that a server may send of a tree within limits,
// with room for files that are refused by name once it is known which they are.
func maxTransfer(l Limits) int64 { return 8*l.TreeSize + 64<<20 }

// cappedTransport bounds each body, because go-git reads lists of refs and the
// texts of errors into memory, however long.
type cappedTransport struct {
	next http.RoundTripper
	most int64
}

func (t cappedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	most := t.most
	if request.Method == http.MethodGet || response.StatusCode != http.StatusOK {
		most = 64 << 20
	}
	response.Body = &cappedBody{response.Body, most}
	return response, nil
}

type cappedBody struct {
	io.ReadCloser
	left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the server sends more than a fleet repo may hold; move what no cluster needs elsewhere")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
