// Package registration gets a cluster's token from a server, and keeps it in a Kubernetes Secret.
//
//	r := registration.Registration{Server: server, Request: api.Registration{Name: "edge-7"}, Report: log.Printf}
//	token, err := r.Token(ctx)                                                   // or:
//	err = r.IntoSecret(ctx, "flux-system/tributary-token", kubesecret.Options{})
//
// Both retry failures that may pass until ctx ends.
package registration

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/kubesecret"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/retry"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

// Registration says what to register, and where.
type Registration struct {
	Server  remote.Flags
	Request api.Registration
	Key     string // idempotency key; "" for a random one
	Rotate  bool   // whether to replace the token in the Secret
	Report  func(format string, args ...any)
}

// Token registers the cluster and returns its token.
func (r *Registration) Token(ctx context.Context) (string, error) {
	client, err := r.Server.Client()
	if err != nil {
		return "", err
	}
	answer, err := r.register(ctx, client, rand.Text())
	return answer.Token, err
}

// register registers the cluster and reports what it waits for.
func (r *Registration) register(ctx context.Context, c *client.Client, key string) (answer api.RegistrationResult, err error) {
	if r.Key != "" {
		key = r.Key
	}
	err = retry.Do(ctx, client.Retryable, r.Report, func() (err error) {
		answer, err = c.Register(ctx, r.Request, key)
		return err
	})
	if err == nil {
		r.Report("cluster %q is registered", answer.Cluster)
	}
	return answer, remote.Error(err)
}

// IntoSecret registers the cluster if the Secret holds no token, or rotates the token that
// it holds.
func (r *Registration) IntoSecret(ctx context.Context, name string, options kubesecret.Options) error {
	secret, err := kubesecret.Open(name, options)
	if err != nil {
		return err
	}
	var held string
	if err := retry.Do(ctx, kubesecret.Retryable, r.Report, func() (err error) {
		held, err = secret.Token(ctx)
		return err
	}); err != nil {
		return err
	}
	if held != "" && !r.Rotate && r.isInvalid(ctx, held) {
		r.Report("the token in secret %s was revoked or has expired", name)
		held = ""
	}
	client, key, err := r.clientFor(name, held)
	switch {
	case err != nil:
		return err
	case client == nil:
		r.Report("secret %s already holds a token of cluster %q; use --rotate to replace it", name, r.Request.Name)
		return nil
	}
	if err := retry.Do(ctx, kubesecret.Retryable, r.Report, func() error { return secret.Probe(ctx) }); err != nil {
		return fmt.Errorf("the cluster is not registered, because its token could not be stored: %w", err)
	}
	answer, err := r.register(ctx, client, key)
	if err != nil {
		return err
	}
	if err := r.keep(ctx, secret, answer); err != nil {
		return err
	}
	r.Report("secret %s holds the token", name)
	return nil
}

// keep stores the token. It continues after the timeout and after a signal, because the
// server shows the token only once.
func (r *Registration) keep(ctx context.Context, secret *kubesecret.Secret, answer api.RegistrationResult) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	err := retry.Do(ctx, kubesecret.Retryable, r.Report, func() error { return secret.Write(ctx, answer.Token) })
	if err == nil {
		return nil
	}
	remedy := "revoke its token and register it again"
	if r.Key != "" || r.Rotate {
		remedy = "run this command again within an hour"
	}
	return fmt.Errorf("cluster %q is registered, but its token is not stored: %w\n%s", answer.Cluster, err, remedy)
}

// keepTimeout is shorter than the time that main and Kubernetes give a process after a
// signal.
const keepTimeout = 20 * time.Second

// isInvalid reports whether the server rejects a token. It asks for a set with an
// impossible name, which changes nothing and does not count as a poll.
func (r *Registration) isInvalid(ctx context.Context, held string) bool {
	client, err := r.Server.ClientWith(held)
	if err != nil {
		return false
	}
	_, err = client.Inputs(ctx, r.Request.Name, "-")
	return errors.Is(err, fleet.ErrUnauthenticated)
}

// clientFor returns the client and the idempotency key to register with, given the token
// in the Secret; nil if there is nothing to do.
func (r *Registration) clientFor(secret, held string) (*client.Client, string, error) {
	switch {
	case !r.Rotate && held != "":
		return nil, "", nil
	case !r.Rotate:
		client, err := r.Server.Client()
		return client, rand.Text(), err
	case held == "":
		return nil, "", fmt.Errorf("register: secret %s holds no token to replace; leave out --rotate", secret)
	}
	client, err := r.Server.ClientWith(held)
	// The key is derived from the token, so that a process that ends between the answer and
	// the Secret loses nothing: the next one gets the same answer.
	return client, fmt.Sprintf("%x", sha256.Sum256([]byte("rotate "+held))), err
}
