package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/kubesecret"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/retry"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

type registerOptions struct {
	server     remote.Flags
	request    api.Registration
	key        string
	timeout    time.Duration
	secret     string
	kubeconfig string
	rotate     bool
}

func newRegister() *cobra.Command {
	o := &registerOptions{}
	cmd := &cobra.Command{
		Use:   "register --name CLUSTER",
		Short: "Register this cluster and get its token",
		Long: `Registers a cluster with a bootstrap token and prints only the cluster's token on standard
output. With the cluster's own token it replaces that token. The Job that tributary
bootstrap prints runs this command.

With --secret it stores the token under the key token of a Kubernetes Secret instead. It
creates the Secret if necessary and keeps its other keys. It first checks that it can
write the Secret, because the server shows a token only once. If the Secret already holds
a token, the command does nothing, unless --rotate is given to replace it. The Kubernetes
API is that of --kubeconfig, or else of the cluster that the command runs in.

Failures that may pass (no connection, too many requests, a server that is not ready) are
retried until --timeout. For an hour, repeating a registration with the same idempotency
key returns the same token.

` + remote.Help,
		Example: `  tributary register --server https://tributary.example.com --token-file bootstrap-token \
    --name edge-7 --dns edge-7.k8s.example.com --labels environment=dev,region=eu > token
  tributary register --token-file bootstrap-token --name edge-7 --secret flux-system/tributary-token
  tributary register --name edge-7 --secret flux-system/tributary-token --rotate

Exit status is 0, or 1 if no token was obtained.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return register(cmd, o) },
	}
	o.server.Bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.request.Name, "name", "", "name of the cluster")
	f.StringVar(&o.request.DNS, "dns", "", "alternative name of the cluster, which contains a dot")
	f.StringToStringVar(&o.request.Labels, "labels", nil, "labels of the cluster, such as environment=dev,region=eu")
	f.StringVar(&o.key, "idempotency-key", "", "key that identifies this registration when it is repeated, at least 20 characters (default: random)")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long to retry")
	f.StringVar(&o.secret, "secret", "", "NAMESPACE/NAME of a Secret to store the token in, instead of printing it")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default: the cluster that this runs in)")
	f.BoolVar(&o.rotate, "rotate", false, "replace the token in the Secret")
	return cmd
}

func register(cmd *cobra.Command, o *registerOptions) error {
	switch {
	case o.request.Name == "":
		return errors.New("register: name the cluster with --name")
	case o.rotate && o.secret == "":
		return errors.New("register: --rotate requires --secret; without it, use the cluster's own token as --token-file")
	case o.timeout <= 0:
		return fmt.Errorf("register: --timeout %s: must be positive", o.timeout)
	}
	report := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "tributary: "+format+"\n", args...) }
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if o.secret != "" {
		return o.intoSecret(ctx, report)
	}
	client, err := o.server.Client()
	if err != nil {
		return err
	}
	answer, err := o.register(ctx, client, rand.Text(), report)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), answer.Token)
	return nil
}

// register registers the cluster and reports what it waits for.
func (o *registerOptions) register(ctx context.Context, c *client.Client, key string, report func(string, ...any)) (answer api.RegistrationResult, err error) {
	if o.key != "" {
		key = o.key
	}
	err = retry.Do(ctx, client.Retryable, report, func() (err error) {
		answer, err = c.Register(ctx, o.request, key)
		return err
	})
	if err == nil {
		report("cluster %q is registered", answer.Cluster)
	}
	return answer, remote.Error(err)
}

// intoSecret registers the cluster if the Secret holds no token, or rotates the token that
// it holds.
func (o *registerOptions) intoSecret(ctx context.Context, report func(string, ...any)) error {
	secret, err := kubesecret.Open(o.secret, kubesecret.Options{Cluster: o.request.Name, Kubeconfig: o.kubeconfig, Version: version})
	if err != nil {
		return err
	}
	var held string
	if err := retry.Do(ctx, kubesecret.Retryable, report, func() (err error) {
		held, err = secret.Token(ctx)
		return err
	}); err != nil {
		return err
	}
	if held != "" && !o.rotate && o.isInvalid(ctx, held) {
		report("the token in secret %s was revoked or has expired", o.secret)
		held = ""
	}
	client, key, err := o.clientFor(held)
	switch {
	case err != nil:
		return err
	case client == nil:
		report("secret %s already holds a token of cluster %q; use --rotate to replace it", o.secret, o.request.Name)
		return nil
	}
	if err := retry.Do(ctx, kubesecret.Retryable, report, func() error { return secret.Probe(ctx) }); err != nil {
		return fmt.Errorf("the cluster is not registered, because its token could not be stored: %w", err)
	}
	answer, err := o.register(ctx, client, key, report)
	if err != nil {
		return err
	}
	if err := o.keep(ctx, secret, answer, report); err != nil {
		return err
	}
	report("secret %s holds the token", o.secret)
	return nil
}

// keep stores the token. It continues after the timeout and after a signal, because the
// server shows the token only once.
func (o *registerOptions) keep(ctx context.Context, secret *kubesecret.Secret, answer api.RegistrationResult, report func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	err := retry.Do(ctx, kubesecret.Retryable, report, func() error { return secret.Write(ctx, answer.Token) })
	if err == nil {
		return nil
	}
	remedy := "revoke its token and register it again"
	if o.key != "" || o.rotate {
		remedy = "run this command again within an hour"
	}
	return fmt.Errorf("cluster %q is registered, but its token is not stored: %w\n%s", answer.Cluster, err, remedy)
}

// keepTimeout is shorter than the time that main and Kubernetes give a process after a
// signal.
const keepTimeout = 20 * time.Second

// isInvalid reports whether the server rejects a token. It asks for a set with an
// impossible name, which changes nothing and does not count as a poll.
func (o *registerOptions) isInvalid(ctx context.Context, held string) bool {
	client, err := o.server.ClientWith(held)
	if err != nil {
		return false
	}
	_, err = client.Inputs(ctx, o.request.Name, "-")
	return errors.Is(err, fleet.ErrUnauthenticated)
}

// clientFor returns the client and the idempotency key to register with, given the token
// in the Secret; nil if there is nothing to do.
func (o *registerOptions) clientFor(held string) (*client.Client, string, error) {
	switch {
	case !o.rotate && held != "":
		return nil, "", nil
	case !o.rotate:
		client, err := o.server.Client()
		return client, rand.Text(), err
	case held == "":
		return nil, "", fmt.Errorf("register: secret %s holds no token to replace; leave out --rotate", o.secret)
	}
	client, err := o.server.ClientWith(held)
	// The key is derived from the token, so that a process that ends between the answer and
	// the Secret loses nothing: the next one gets the same answer.
	return client, fmt.Sprintf("%x", sha256.Sum256([]byte("rotate "+held))), err
}
