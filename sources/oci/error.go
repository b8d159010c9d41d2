package oci

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// Explain rewrites an error about a registry so that it says what to do. A
// server controls the text of its messages, so only one line of printable
// characters is kept, and URLs lose their credentials and query.
func (c *Client) Explain(ctx context.Context, err error) error {
	var (
		refused  *fleet.RefusedError
		retry    *fleet.RetryError
		reworded message.Reworded
		unread   credentialFileError
	)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", message.NoAnswer, ctx.Err())
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &retry):
		return retry
	case errors.As(err, &reworded):
		return reworded
	case errors.As(err, &unread):
		return message.Reword(err, message.Clean(unread.Error()))
	case isCredentialError(err) && c.answered(err):
		c.clearTokens()
		return c.credentialError(err)
	}
	return message.Reword(err, message.Clean(c.reason(err)))
}

// Status returns the HTTP status of a registry's answer; 0 if there is none.
func Status(err error) int {
	var answer *errcode.ErrorResponse
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// IsNotFound reports whether the registry does not have what was asked for.
func IsNotFound(err error) bool {
	return errors.Is(err, errdef.ErrNotFound) || Status(err) == http.StatusNotFound
}

func isCredentialError(err error) bool {
	return errors.Is(err, auth.ErrBasicCredentialNotFound) || Status(err) == http.StatusUnauthorized || Status(err) == http.StatusForbidden
}

// ExplainPush is Explain for an error about writing.
func (c *Client) ExplainPush(ctx context.Context, err error) error {
	if Status(err) == http.StatusForbidden && ctx.Err() == nil && c.answered(err) {
		return fmt.Errorf("%w: the credentials for %s in %s may not write to %s; name a Docker config with other credentials with --registry-config%s",
			fleet.ErrForbidden, c.at.Registry, c.configName(), c.at.Repository, registryReason(err))
	}
	return c.Explain(ctx, err)
}

// answered reports whether a request was rejected by the registry or its token
// service. A blob store that the registry redirects to also answers 403.
func (c *Client) answered(err error) bool {
	var answer *errcode.ErrorResponse
	return !errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden || answer.URL == nil || answer.URL.Host == c.at.Host()
}

// registryReason returns the registry's reason for a rejection, which may not
// be about credentials.
func registryReason(err error) string {
	var answer *errcode.ErrorResponse
	if !errors.As(err, &answer) || len(answer.Errors) == 0 {
		return ""
	}
	return "; the registry says: " + message.Clean(answer.Errors.Error())
}

func (c *Client) credentialError(err error) error {
	host := c.at.Registry
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("%w: the registry requires a user and password, and there is none for %s in %s; name a Docker config that has one with --registry-config", fleet.ErrUnauthenticated, host, c.configName())
	case Status(err) == http.StatusUnauthorized:
		return fmt.Errorf("%w: the registry does not accept the credentials in %s for %s; name a Docker config with other credentials with --registry-config%s", fleet.ErrUnauthenticated, c.configName(), host, registryReason(err))
	}
	return fmt.Errorf("%w: the credentials for %s in %s may not read %s, if it exists; name a Docker config with other credentials with --registry-config%s", fleet.ErrForbidden, host, c.configName(), c.at.Repository, registryReason(err))
}

func (c *Client) configName() string {
	if c.configFile != "" {
		return c.configFile
	}
	if file := defaultConfig(); exists(file) {
		return file
	}
	return "Docker's config.json, which does not exist"
}

// credentialFileError is an error of a credentials file or helper. It is
// reported without oras-go's wrapping, which names an unrelated request.
type credentialFileError struct{ error }

// reason returns an error's text without the wrapping of oras-go and net/http.
func (c *Client) reason(err error) string {
	var (
		answer    *errcode.ErrorResponse
		authority x509.UnknownAuthorityError
		urlErr    *url.Error
	)
	errors.As(err, &urlErr)
	switch {
	case urlErr != nil && urlErr.Timeout():
		return message.NoAnswer
	case errors.As(err, &answer) && answer.StatusCode == http.StatusBadRequest && c.plainHTTP:
		return "the registry answered 400 Bad Request to plain http; leave --plain-http out if it has TLS"
	case errors.As(err, &answer):
		return responseText(answer)
	case errors.Is(err, errdef.ErrNotFound):
		return err.Error() + " at the registry any more; push the artifact again"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the registry uses plain http; configure TLS for it, or use --plain-http to allow traffic that anyone on the network can read and change"
	case errors.As(err, &authority):
		return "the registry's certificate is from an unknown authority; name the authority's certificate with --ca-file: " + authority.Error()
	case urlErr != nil && c.mayWantCertificate(urlErr):
		return "the registry closed the connection; if it requires a client certificate, name one with --client-cert-file and --client-key-file: " + urlErr.Err.Error()
	case urlErr != nil:
		return urlErr.Err.Error()
	}
	return err.Error()
}

// mayWantCertificate reports whether the server may have required a client
// certificate. In TLS 1.3 it says so only after the first request was sent, and
// that request may fail before the message is read.
func (c *Client) mayWantCertificate(err error) bool {
	var operation *net.OpError
	if c.plainHTTP || c.pool.HasCertificate() {
		return false
	}
	return errors.As(err, &operation) && operation.Op == "remote error" || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) ||
		strings.Contains(err.Error(), "http2: client conn could not be established")
}

func responseText(answer *errcode.ErrorResponse) string {
	who := "the registry"
	if answer.URL != nil {
		who = answer.URL.Host
	}
	text := fmt.Sprintf("%s answered %d %s", who, answer.StatusCode, http.StatusText(answer.StatusCode))
	if len(answer.Errors) > 0 {
		text += ": " + answer.Errors.Error()
	}
	return text
}
