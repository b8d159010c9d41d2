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

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// uploadPackRefused is the start of go-git's error, which has no type, for a
// server that answers a request with something else than a pack.
const uploadPackRefused = "error decoding upload-pack response: "

// explain rewrites an error about a repository so that it says what to do. A
// server controls the text of its messages, so only one line of printable
// characters is kept, and URLs lose their credentials and query.
func explain(ctx context.Context, err error) error {
	var (
		refused *fleet.RefusedError
		host    *hostKeyError
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
	case errors.Is(err, gittransport.ErrEmptyRemoteRepository):
		return fmt.Errorf("default branch: %w; the repository is empty, push a commit", fleet.ErrNotFound)
	case errors.Is(err, gittransport.ErrRepositoryNotFound):
		return fmt.Errorf("%w; check the URL", fleet.ErrNotFound)
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("git is not installed, and git+file needs it; install it, or serve the repository over http")
	}
	return message.Reword(err, message.Clean(reason(err)))
}

// reason returns an error's text without the wrapping of go-git and net/http.
func reason(err error) string {
	err = unwrapUnexpected(err)
	var (
		status     *githttp.Err
		errorLine  *pktline.ErrorLine
		unexpected *packp.ErrUnexpectedData
		issuer     x509.UnknownAuthorityError
		urlErr     *url.Error
		wait       net.Error
	)
	answer, answered := strings.CutPrefix(err.Error(), uploadPackRefused)
	switch {
	case errors.As(err, &status):
		return "the server answered " + status.Response.Status
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
	case strings.Contains(err.Error(), "dubious ownership"):
		return "the repository belongs to another user, and git does not read such repositories by default; run git config --global --add safe.directory with its path, as the user that runs tributary"
	case answered:
		return "the server answered the request for the commit with: " + answer
	case errors.As(err, &wait) && wait.Timeout():
		return message.NoAnswer
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server ended its answer too early; try again, or check its log"
	case errors.As(err, &urlErr):
		return urlErr.Err.Error()
	}
	return err.Error()
}

// unwrapUnexpected removes go-git's UnexpectedError, which has no Unwrap
// method.
func unwrapUnexpected(err error) error {
	var unexpected *plumbing.UnexpectedError
	for errors.As(err, &unexpected) {
		err = unexpected.Err
	}
	return err
}
