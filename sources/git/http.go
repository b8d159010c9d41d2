package git

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/git/token"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// httpDialer connects to a repository over http or https. It does not use
// go-git's client, which hides the answers that say how to authenticate, when to
// come back and where a repository has moved.
type httpDialer struct {
	url  *url.URL
	pool *transport.Pool
	// username goes with the token. Hosts that only check the token still need
	// some name.
	tokenFile, username string
	// issued are tokens that somebody issues; nil if nobody does.
	issued *token.Cache
	// redirectHosts are other hosts that may be redirected to.
	redirectHosts []string
	// bearer is true once the server has asked for the token as a bearer token.
	// Later fetches then send it that way at once.
	bearer atomic.Bool
}

func newHTTPDialer(c Config) (dialer, error) {
	d := &httpDialer{url: c.URL, pool: transport.NewPool(c.TLS, c.Proxy), tokenFile: c.Options.TokenFile,
		username: cmp.Or(c.Options.Username, "git"), redirectHosts: c.Options.RedirectHosts}
	if err := d.useProvider(c.Options); err != nil {
		return nil, err
	}
	if (d.tokenFile != "" || d.issued != nil) && c.URL.Scheme == "http" && !c.PlainHTTP && !isLoopback(c.URL.Hostname()) {
		return nil, message.Invalid("%s would be sent over the network unencrypted: use https, or allow it with --plain-http", d.tokenName())
	}
	return d, nil
}

// useProvider sets what issues tokens.
func (d *httpDialer) useProvider(o Options) error {
	app := o.GitHubAppID != "" || o.GitHubAppInstallation != "" || o.GitHubAppKeyFile != ""
	switch {
	case o.Provider != "" && o.TokenFile != "":
		return message.Invalid("--git-provider %s issues tokens, and --git-token-file names one: remove one of the flags", message.Printable(o.Provider))
	case o.Provider == ProviderGitHub && (o.GitHubAppID == "" || o.GitHubAppKeyFile == ""):
		return message.Invalid("--git-provider github needs a GitHub App: name it with --git-github-app-id and --git-github-app-key-file")
	case o.Provider == ProviderGitHub:
		d.issued = token.NewCache(&token.GitHubApp{ID: o.GitHubAppID, Installation: o.GitHubAppInstallation, KeyFile: o.GitHubAppKeyFile, Repository: d.url})
	case app:
		return message.Invalid("a GitHub App is used only with --git-provider github: set it, or remove the App's flags")
	case o.Provider == ProviderAzure:
		d.issued = token.NewCache(token.AzureWorkloadIdentity{})
	case o.Provider != "":
		return message.Invalid("--git-provider %s: must be github or azure", message.Printable(o.Provider))
	}
	return nil
}

// tokenName names the token in errors.
func (d *httpDialer) tokenName() string {
	if d.issued != nil {
		return "the " + d.issued.String()
	}
	return "the token in --git-token-file"
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (d *httpDialer) close() { d.pool.Close() }

// dial takes one round trip, unless the server first says how it wants the
// token.
func (d *httpDialer) dial(ctx context.Context) (*remote, error) {
	s := &httpSession{dialer: d, base: strings.TrimSuffix(d.url.String(), "/"), username: d.username, bearer: d.bearer.Load()}
	next, err := d.pool.Transport()
	if err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: retries().Transport(next), CheckRedirect: s.checkRedirect}
	switch {
	case d.issued != nil:
		issued, err := d.issued.Get(ctx, s.client)
		if err != nil {
			return nil, err
		}
		s.token, s.username, s.bearer = issued.Secret, issued.Username, issued.Username == ""
	case d.tokenFile != "":
		if s.token, err = readSecret("--git-token-file", d.tokenFile); err != nil {
			return nil, err
		}
	}
	answer, err := s.list(ctx)
	var status *statusError
	if d.issued != nil && errors.Is(err, fleet.ErrUnauthenticated) {
		d.issued.Forget() // It may have been revoked.
	} else if errors.As(err, &status) && status.wantsOtherScheme(s) {
		s.bearer = !s.bearer
		d.bearer.Store(s.bearer)
		answer, err = s.list(ctx)
	}
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	refs, err := readRefs(answer)
	if err != nil {
		return nil, err
	}
	return &remote{s, refs}, nil
}

// retries returns the retries of fetches. Git answers 500 to a commit that it
// does not know.
func retries() transport.Retries {
	r := transport.FetchRetries
	r.Final = []int{http.StatusInternalServerError}
	return r
}

// readSecret reads a secret of one line. Its errors never contain the secret.
func readSecret(option, file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", option, err)
	}
	secret := strings.TrimRight(string(content), "\r\n")
	switch {
	case secret == "":
		return "", fmt.Errorf("%s: %s is empty", option, message.Printable(file))
	case strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("%s: %s has more than one line; leave only the secret in it", option, message.Printable(file))
	}
	return secret, nil
}

// httpSession reads one repository.
type httpSession struct {
	dialer *httpDialer
	client *http.Client
	// base is the URL of the repository, after redirects.
	base string
	// username goes with the token, unless it is sent as a bearer token.
	username, token string
	bearer          bool
}

func (s *httpSession) close() {}

func (s *httpSession) explain(_ context.Context, err error) error { return err }

const refsSuffix = "/info/refs"

// list asks for the refs. A server may redirect this request, and no other.
func (s *httpSession) list(ctx context.Context) (io.ReadCloser, error) {
	return s.do(ctx, http.MethodGet, s.base+refsSuffix+"?service=git-upload-pack", nil)
}

func (s *httpSession) ask(ctx context.Context, request []byte) (io.ReadCloser, error) {
	return s.do(ctx, http.MethodPost, s.base+"/git-upload-pack", request)
}

func (s *httpSession) do(ctx context.Context, method, address string, body []byte) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	request.Header.Set("User-Agent", capability.DefaultAgent())
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
		request.Header.Set("Accept", "application/x-git-upload-pack-result")
	}
	switch {
	case s.token == "" || !s.atOrigin(request.URL):
	case s.bearer:
		request.Header.Set("Authorization", "Bearer "+s.token)
	default:
		request.SetBasicAuth(s.username, s.token)
	}
	response, err := s.client.Do(request) //nolint:bodyclose // the answer closes it
	if err != nil {
		cancel(nil)
		return nil, err
	}
	answer := drainedBody{transport.NewStallReader(ctx, response.Body, cancel, transport.StallTimeout)}
	if response.StatusCode != http.StatusOK {
		_ = answer.Close() // The text of an error may contain secrets.
		return nil, &statusError{response, s.token != "" && s.atOrigin(response.Request.URL), s.token != "", s.dialer.tokenName()}
	}
	if method != http.MethodGet {
		return answer, nil
	}
	moved := *response.Request.URL
	moved.RawQuery, moved.User = "", nil
	s.base = strings.TrimSuffix(moved.String(), refsSuffix)
	begun := bufio.NewReader(answer)
	if isFileOfRefs(begun) {
		_ = answer.Close() // It is of no use.
		return nil, errDumb
	}
	return struct {
		io.Reader
		io.Closer
	}{begun, answer}, nil
}

// isFileOfRefs reports whether an answer begins as the file of a repository does that lists its refs. It
// reads nothing but the beginning.
func isFileOfRefs(answer *bufio.Reader) bool {
	begin, _ := answer.Peek(len(plumbing.ZeroHash)*2 + 1)
	hash, isRef := strings.CutSuffix(string(begin), "\t")
	return isRef && plumbing.IsHash(hash)
}

// errDumb is the error of a host that gives out the files of a repository.
var errDumb = errors.New("the host gives out files and does not speak Git's protocol (dumb HTTP), which is not supported; serve the repository with git http-backend or over ssh")

// atOrigin reports whether a URL is at the host that the token is for.
func (s *httpSession) atOrigin(u *url.URL) bool {
	return strings.EqualFold(u.Host, s.dialer.url.Host) && (u.Scheme == s.dialer.url.Scheme || u.Scheme == "https")
}

func (s *httpSession) checkRedirect(to *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch {
	case via[0].Method != http.MethodGet:
		return errors.New("the server answered the request for the commit with a redirect; use the repository's own URL")
	case to.URL.Scheme != "https" && to.URL.Scheme != from.Scheme:
		return fmt.Errorf("the server redirects from %q to %q, which is not followed; use the repository's own URL", from.Scheme, message.Clean(to.URL.Scheme))
	case len(via) >= 10:
		return errors.New("the server redirects in a circle; use the repository's own URL")
	case !s.mayRedirectTo(to.URL):
		host := message.Clean(to.URL.Host)
		return fmt.Errorf("the server redirects to another host, %q, which is not followed; use the repository's own URL, or allow it with --git-allow-redirect-host %s", host, host)
	case !s.atOrigin(to.URL):
		to.Header.Del("Authorization")
	}
	return nil
}

// mayRedirectTo reports whether a URL is at the host of the repository, or at another that is
// allowed, with its port or with any.
func (s *httpSession) mayRedirectTo(u *url.URL) bool {
	if strings.EqualFold(u.Hostname(), s.dialer.url.Hostname()) {
		return true
	}
	return slices.ContainsFunc(s.dialer.redirectHosts, func(host string) bool {
		return strings.EqualFold(host, u.Hostname()) || strings.EqualFold(host, u.Host)
	})
}

// drainedBody reads the last few bytes before it closes. Refs and packs are read
// to their own end, and a connection with unread data is not reused.
type drainedBody struct{ io.ReadCloser }

func (b drainedBody) Close() error {
	_, _ = io.CopyN(io.Discard, b.ReadCloser, 4<<10) // The content no longer matters.
	return b.ReadCloser.Close()
}

// statusError is an answer with an error status.
type statusError struct {
	*http.Response
	// sent is true if the token was sent, and token if there is one.
	sent, token bool
	// name names the token.
	name string
}

// wantsOtherScheme reports whether the server would accept the token under the
// other authentication scheme.
func (e *statusError) wantsOtherScheme(s *httpSession) bool {
	if e.StatusCode != http.StatusUnauthorized || !e.sent {
		return false
	}
	basic, bearer := readChallenge(e.Header)
	if s.bearer {
		return basic && !bearer
	}
	return bearer && !basic
}

// authScheme matches the names of schemes: at the start of a header or after a
// comma, and before a space. It does not match in the values of parameters.
var authScheme = regexp.MustCompile(`(?i)(?:^|,)\s*(basic|bearer)(?:\s|,|$)`)

// readChallenge returns the authentication schemes that a server offers.
func readChallenge(h http.Header) (basic, bearer bool) {
	for _, line := range h.Values("WWW-Authenticate") {
		for _, found := range authScheme.FindAllStringSubmatch(line, -1) {
			if strings.EqualFold(found[1], "basic") {
				basic = true
			} else {
				bearer = true
			}
		}
	}
	return basic, bearer
}

var errNoToken = errors.New("the repository cannot be read without credentials: put a token into a file, and name the file with --git-token-file")

// Error says what to do about the answer. It does not repeat the server's text.
func (e *statusError) Error() string {
	switch err := e.Unwrap(); {
	case e.StatusCode == http.StatusUnauthorized && e.token && !e.sent:
		return fmt.Sprintf("%v: the repository has moved to %s, and the token is not sent there; use its new URL", err, message.Printable(e.Request.URL.Host))
	case e.StatusCode == http.StatusUnauthorized && e.sent:
		return fmt.Sprintf("%v: the server does not accept %s; replace it, and check whether the server needs --git-username", err, e.name)
	case e.StatusCode == http.StatusForbidden && e.sent:
		return fmt.Sprintf("%v: %s may not read the repository; grant it access, or use another token", err, e.name)
	case e.StatusCode == http.StatusUnauthorized, e.StatusCode == http.StatusForbidden:
		return fmt.Sprintf("%v: %v", err, errNoToken)
	case e.StatusCode == http.StatusNotFound && e.token:
		return fmt.Sprintf("%v; check the URL, and that %s may read the repository", err, e.name)
	case e.StatusCode == http.StatusNotFound:
		return fmt.Sprintf("%v; check the URL, and that the repository can be read without credentials, or name some with --git-token-file", err)
	}
	return "the server answered " + e.Status
}

// Unwrap returns the kind of the error; nil for none.
func (e *statusError) Unwrap() error {
	switch e.StatusCode {
	case http.StatusUnauthorized:
		return fleet.ErrUnauthenticated
	case http.StatusForbidden:
		return fleet.ErrForbidden
	case http.StatusNotFound:
		return fleet.ErrNotFound
	}
	return nil
}

// retryAfter returns how long the server asks to wait; 0 if it does not.
func (e *statusError) retryAfter() time.Duration {
	if e.StatusCode != http.StatusTooManyRequests && e.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	return transport.RetryAfter(e.Header.Get("Retry-After"), time.Now())
}
