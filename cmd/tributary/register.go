package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/kubesecret"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/registration"
)

type registerOptions struct {
	registration.Registration
	timeout    time.Duration
	secret     string
	kubeconfig string
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
key returns the same token.`,
		Example: `  tributary register --server https://tributary.example.com --token-file bootstrap-token \
    --name edge-7 --dns edge-7.k8s.example.com --labels environment=dev,region=eu > token
  tributary register --token-file bootstrap-token --name edge-7 --secret flux-system/tributary-token
  tributary register --name edge-7 --secret flux-system/tributary-token --rotate

Exit status is 0, or 1 if no token was obtained.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return register(cmd, o) },
	}
	o.Server.Bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Request.Name, "name", "", "name of the cluster")
	f.StringVar(&o.Request.DNS, "dns", "", "alternative name of the cluster, which contains a dot")
	f.StringToStringVar(&o.Request.Labels, "labels", nil, "labels of the cluster, such as environment=dev,region=eu")
	f.StringVar(&o.Key, "idempotency-key", "", "key that identifies this registration when it is repeated, at least 20 characters (default: random)")
	f.Var(flags.Duration(&o.timeout, 10*time.Minute), "timeout", "how long to retry")
	f.StringVar(&o.secret, "secret", "", "NAMESPACE/NAME of a Secret to store the token in, instead of printing it")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default: the cluster that this runs in)")
	f.BoolVar(&o.Rotate, "rotate", false, "replace the token in the Secret")
	return cmd
}

func register(cmd *cobra.Command, o *registerOptions) error {
	switch {
	case o.Request.Name == "":
		return errors.New("register: name the cluster with --name")
	case o.Rotate && o.secret == "":
		return errors.New("register: --rotate requires --secret; without it, use the cluster's own token as --token-file")
	case o.timeout <= 0:
		return fmt.Errorf("register: --timeout %s: must be positive", o.timeout)
	}
	o.Report = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), "tributary: "+format+"\n", args...) }
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if o.secret != "" {
		return o.IntoSecret(ctx, o.secret, kubesecret.Options{Cluster: o.Request.Name, Kubeconfig: o.kubeconfig, Version: version})
	}
	token, err := o.Token(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), token)
	return nil
}
