package git

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
)

// errAnswer is the error for a server that answers a request with something else
// than a pack.
var errAnswer = errors.New("the server answered the request for the commit with")

// explain rewrites an error about a repository so that it says what to do. A
// server controls the text of its messages, so only one line of printable
// characters is kept, and URLs lose their credentials and query.
func explain(ctx context.Context, err error) error {
	var (
		refused *fleet.RefusedError
		host    *hostKeyError
		status  *statusError
	)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", message.NoAnswer, ctx.Err())
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &host):
		return host
	case errors.As(err, &status):
		if after := status.retryAfter(); after > 0 {
			return &fleet.RetryError{Err: status, After: after}
		}
	case errors.Is(err, gittransport.ErrEmptyRemoteRepository):
		return fmt.Errorf("default branch: %w; the repository is empty, push a commit", fleet.ErrNotFound)
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("git is not installed, and git+file needs it; install it, or serve the repository over http")
	}
	return message.Reword(err, message.Clean(reason(err)))
}

// reason returns an error's text without the wrapping of go-git and net/http.
func reason(err error) string {
	var (
		errorLine  *pktline.ErrorLine
		unexpected *packp.ErrUnexpectedData
		issuer     x509.UnknownAuthorityError
		urlErr     *url.Error
		wait       net.Error
		reworded   message.Reworded
	)
	for _, own := range []error{errPreamble, errRefs, transport.ErrStalled} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	switch {
	case errors.As(err, &reworded):
		return reworded.Error()
	case errors.As(err, &errorLine):
		return "the server says: " + errorLine.Text
	case errors.As(err, &unexpected) && strings.Contains(string(unexpected.Data), "object-format=sha256"):
		return "the repository's object format is SHA-256, which is not supported; use a repository with SHA-1"
	case errors.As(err, &unexpected), errors.Is(err, packp.ErrEmptyInput), errors.Is(err, pktline.ErrInvalidPktLen):
		return "the host that answered is not a Git server; check that the URL is the one to clone from"
	case errors.As(err, &issuer):
		return issuer.Error() + "; name the authority's certificate with --ca-file"
	case strings.Contains(err.Error(), "tls: certificate required"): // crypto/tls has no type for this alert.
		return "the server requires a client certificate from an authority that it trusts; name one with --client-cert-file and --client-key-file"
	case errors.As(err, &wait) && wait.Timeout():
		return message.NoAnswer
	case !errors.Is(err, errPack) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return "the server ended its answer too early; try again, or check its log"
	case errors.As(err, &urlErr):
		return urlErr.Err.Error()
	}
	return err.Error()
}
