package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	gittransport "github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// fetchTransport sends the requests of one fetch. It bounds the answers, and
// keeps the last error response, of which go-git drops the details.
type fetchTransport struct {
	next http.RoundTripper
	// stallTimeout is how long an answer may pause.
	stall time.Duration
	// most is the maximum size of a pack in bytes.
	most int64
	// body is the body of the last answer.
	body   *transport.LimitedBody
	origin *url.URL
	// token is true if there is a token for the origin.
	token bool
	// refusal is the last answer if it was an error, else nil.
	refusal *http.Response
}

func (x *fetchTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	x.refusal = nil
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := x.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	x.body = transport.NewLimitedBody(transport.NewStallReader(ctx, response.Body, cancel, x.stall), maxPreamble, errPreamble)
	if request.Method == http.MethodGet || response.StatusCode != http.StatusOK {
		x.body.Left, x.body.Err = maxRefs, errRefs
	}
	if response.StatusCode >= http.StatusBadRequest {
		x.refusal = response
	}
	response.Body = drainedBody{x.body}
	return response, nil
}

// drainedBody reads the last few bytes before it closes. go-git stops at the
// last ref, and a connection with unread data is not reused.
type drainedBody struct{ *transport.LimitedBody }

func (b drainedBody) Close() error {
	_, _ = io.CopyN(io.Discard, b.LimitedBody, 4<<10) // The content no longer matters.
	return b.LimitedBody.Close()
}

// wantsOtherScheme reports whether the server would accept the token under the
// other authentication scheme.
func (x *fetchTransport) wantsOtherScheme(bearer bool) bool {
	if x.refusal == nil || x.refusal.StatusCode != http.StatusUnauthorized || !x.token || x.redirectedHost() != "" {
		return false
	}
	c := readChallenge(x.refusal.Header)
	if bearer {
		return c.basic && !c.bearer
	}
	return c.bearer && !c.basic
}

// redirectedHost returns the host of the last redirect if it differs from the
// origin.
func (x *fetchTransport) redirectedHost() string {
	if at := x.refusal.Request.URL; !strings.EqualFold(at.Host, x.origin.Host) {
		return at.Host
	}
	return ""
}

// explain says what to do about an error response. It does not repeat the
// server's text.
func (x *fetchTransport) explain(err error) error {
	if x.refusal == nil {
		return err
	}
	switch {
	case errors.Is(err, gittransport.ErrAuthenticationRequired):
		return fmt.Errorf("%w: %w", fleet.ErrUnauthenticated, x.unauthenticated())
	case errors.Is(err, gittransport.ErrAuthorizationFailed):
		return fmt.Errorf("%w: %w", fleet.ErrForbidden, x.forbidden())
	case errors.Is(err, gittransport.ErrRepositoryNotFound):
		return fmt.Errorf("%w; check the URL, and that %s", fleet.ErrNotFound, x.accessHint())
	}
	if after := x.retryAfter(); after > 0 {
		return &fleet.RetryError{Err: errors.New("the server answered " + x.refusal.Status), After: after}
	}
	return err
}

func (x *fetchTransport) unauthenticated() error {
	switch host := x.redirectedHost(); {
	case x.token && host != "":
		return fmt.Errorf("the repository has moved to %s, and the token is not sent there; use its new URL", message.Printable(host))
	case x.token:
		return errors.New("the server does not accept the token in --git-token-file; put a valid token there, and check whether the server needs --git-username")
	}
	return errNoToken
}

func (x *fetchTransport) forbidden() error {
	if x.token && x.redirectedHost() == "" {
		return errors.New("the token in --git-token-file may not read the repository; grant it access, or use another token")
	}
	return errNoToken
}

func (x *fetchTransport) accessHint() string {
	if x.token {
		return "the token in --git-token-file may read the repository"
	}
	return "the repository can be read without credentials, or name some with --git-token-file"
}

func (x *fetchTransport) retryAfter() time.Duration {
	if s := x.refusal.StatusCode; s != http.StatusTooManyRequests && s != http.StatusServiceUnavailable {
		return 0
	}
	return transport.RetryAfter(x.refusal.Header.Get("Retry-After"), time.Now())
}
