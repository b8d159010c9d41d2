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
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/retry"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/client"
)

type registerOptions struct {
	server     serverFlags
	request    fleet.Registration
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
		Short: "Register the cluster that this runs in, and get its own token",
		Long: `Registers a cluster with a bootstrap token, and prints the cluster's own token, alone,
on standard output. With the cluster's own token it takes another in its place. It is
what the Job does that tributary bootstrap makes.

With --secret the token goes into the key token of a Kubernetes Secret instead, which
is made if need be; other keys of it stay. That the Secret can be written is tried
first, because a token is told once. Where it holds a token already, nothing is done
unless --rotate is given: then that token is replaced by another. The Kubernetes API
is that of --kubeconfig, or else of the cluster that this runs in.

What may pass by itself (no connection, too many requests, a server that is not
ready) is tried again until --timeout. A registration that is repeated with the same
idempotency key has the same token, for an hour.

` + serverHelp,
		Example: `  tributary register --server https://tributary.example.com --token-file bootstrap-token \
    --name edge-7 --dns edge-7.k8s.example.com --labels environment=dev,region=eu > token
  tributary register --token-file bootstrap-token --name edge-7 --secret flux-system/tributary-token
  tributary register --name edge-7 --secret flux-system/tributary-token --rotate

Exit status is 0, or 1 if there is no token.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return register(cmd, o) },
	}
	o.server.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.request.Name, "name", "", "name of the cluster")
	f.StringVar(&o.request.DNS, "dns", "", "another name for its polls, with a dot in it")
	f.StringToStringVar(&o.request.Labels, "labels", nil, "labels, such as environment=dev,region=eu")
	f.StringVar(&o.key, "idempotency-key", "", "what tells a repetition from another registration, 20 characters at least (default: a random one)")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "for how long it is tried")
	f.StringVar(&o.secret, "secret", "", "NAMESPACE/NAME of the Secret that gets the token, in place of standard output")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that says where the Kubernetes API is (default: that of the cluster this runs in)")
	f.BoolVar(&o.rotate, "rotate", false, "replace the token that the Secret holds")
	return cmd
}

func register(cmd *cobra.Command, o *registerOptions) error {
	switch {
	case o.request.Name == "":
		return errors.New("register: name the cluster with --name")
	case o.rotate && o.secret == "":
		return errors.New("register: --rotate is for --secret; to rotate without, name the cluster's own token with --token-file")
	case o.timeout <= 0:
		return fmt.Errorf("register: --timeout %s: must be longer than nothing", o.timeout)
	}
	tell := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "tributary: "+format+"\n", args...) }
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if o.secret != "" {
		return o.intoSecret(ctx, tell)
	}
	client, err := o.server.client()
	if err != nil {
		return err
	}
	answer, err := o.ask(ctx, client, rand.Text(), tell)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), answer.Token)
	return nil
}

// ask registers the cluster, and tells what it is waiting for.
func (o *registerOptions) ask(ctx context.Context, c *client.Client, key string, tell func(string, ...any)) (answer fleet.Enrolled, err error) {
	if o.key != "" {
		key = o.key
	}
	err = retry.Do(ctx, client.Retryable, tell, func() (err error) {
		answer, err = c.Register(ctx, o.request, key)
		return err
	})
	if err == nil {
		tell("cluster %q is registered", answer.Cluster)
	}
	return answer, refused(err)
}

// intoSecret registers the cluster where the Secret holds no token yet, or rotates
// the one that it holds.
func (o *registerOptions) intoSecret(ctx context.Context, tell func(string, ...any)) error {
	secret, err := kubesecret.Open(o.secret, kubesecret.Options{Cluster: o.request.Name, Kubeconfig: o.kubeconfig, Version: version})
	if err != nil {
		return err
	}
	var held string
	if err := retry.Do(ctx, kubesecret.Retryable, tell, func() (err error) {
		held, err = secret.Token(ctx)
		return err
	}); err != nil {
		return err
	}
	if held != "" && !o.rotate && o.ended(ctx, held) {
		tell("the token that secret %s holds was revoked, or has ended", o.secret)
		held = ""
	}
	client, key, err := o.asWhom(held)
	switch {
	case err != nil:
		return err
	case client == nil:
		tell("secret %s holds a token of cluster %q already; --rotate replaces it", o.secret, o.request.Name)
		return nil
	}
	if err := retry.Do(ctx, kubesecret.Retryable, tell, func() error { return secret.Probe(ctx) }); err != nil {
		return fmt.Errorf("nothing is registered, because the token could not be kept: %w", err)
	}
	answer, err := o.ask(ctx, client, key, tell)
	if err != nil {
		return err
	}
	if err := o.keep(ctx, secret, answer, tell); err != nil {
		return err
	}
	tell("secret %s holds the token", o.secret)
	return nil
}

// keep writes the token, for which neither the end of the time nor a signal is too
// soon: it is told once.
func (o *registerOptions) keep(ctx context.Context, secret *kubesecret.Secret, answer fleet.Enrolled, tell func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestKeep)
	defer cancel()
	err := retry.Do(ctx, kubesecret.Retryable, tell, func() error { return secret.Write(ctx, answer.Token) })
	if err == nil {
		return nil
	}
	remedy := "revoke its token and register it again"
	if o.key != "" || o.rotate {
		remedy = "run this again within the hour"
	}
	return fmt.Errorf("cluster %q is registered, but its token is not kept: %w\n%s", answer.Cluster, err, remedy)
}

// longestKeep is shorter than main lets a command go on after a signal, and than
// Kubernetes lets a container.
const longestKeep = 20 * time.Second

// ended tells whether the server says that a token is none. It is asked for a set
// that there cannot be, because that changes nothing and is no poll.
func (o *registerOptions) ended(ctx context.Context, held string) bool {
	client, err := o.server.clientWith(held)
	if err != nil {
		return false
	}
	_, err = client.Inputs(ctx, o.request.Name, "-")
	return errors.Is(err, fleet.ErrUnauthenticated)
}

// asWhom is the client that registers, and the key it does so by, given the token
// that the Secret holds; nil where there is nothing to do.
func (o *registerOptions) asWhom(held string) (*client.Client, string, error) {
	switch {
	case !o.rotate && held != "":
		return nil, "", nil
	case !o.rotate:
		client, err := o.server.client()
		return client, rand.Text(), err
	case held == "":
		return nil, "", fmt.Errorf("register: secret %s holds no token that could be replaced; leave out --rotate", o.secret)
	}
	client, err := o.server.clientWith(held)
	// Whoever holds the token is the cluster. So a process that ends between the
	// answer and the Secret loses nothing: the next one is answered the same.
	return client, fmt.Sprintf("%x", sha256.Sum256([]byte("rotate "+held))), err
}
