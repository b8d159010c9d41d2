package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/bootstrap"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

type bootstrapOptions struct {
	server    remote.Flags
	serverURL string
	labels    map[string]string
	dns       string
	namespace string
	image     string
	interval  time.Duration
	ttl       time.Duration
}

func newBootstrap() *cobra.Command {
	o := &bootstrapOptions{}
	cmd := &cobra.Command{
		Use:   "bootstrap CLUSTER",
		Short: "Print the manifests for a new cluster, for kubectl apply",
		Long: `Prints manifests for a new cluster that runs Flux Operator: a Job that registers the
cluster and stores its token in a Secret, with no other rights; a ResourceSetInputProvider
for each input set; and the fleet repo's ResourceSets. They contain a new bootstrap token
that registers this cluster once, so treat the output as a secret. Requires an admin
token.

With --ca-file the cluster trusts these certificates too. Use --server-url if the cluster
reaches the server at another address than this machine does.`,
		Example: `  tributary bootstrap edge-7 --labels environment=dev,region=eu | kubectl apply -f -
  tributary bootstrap edge-7 --labels environment=dev --server https://10.0.0.7 \
    --server-url https://tributary.example.com --ca-file ca.pem --ttl 1h > edge-7.yaml

Exit status is 0, or 1 if nothing was printed.`,
		Args: named("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error { return runBootstrap(cmd, o, args[0]) },
	}
	o.server.Bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.serverURL, "server-url", "", "URL at which the cluster reaches the server (default: that of --server)")
	f.StringToStringVar(&o.labels, "labels", nil, "labels of the cluster, such as environment=dev,region=eu")
	f.StringVar(&o.dns, "dns", "", "alternative name of the cluster, which contains a dot")
	f.StringVar(&o.namespace, "namespace", "flux-system", "namespace of the manifests")
	f.StringVar(&o.image, "image", "ghcr.io/tributary-gitops/tributary:"+version, "image of the Job")
	f.Var(flags.Duration(&o.interval, 5*time.Minute), "interval", "interval of the cluster's polls, unless spec.providers of fleet.yaml has one")
	f.Var(flags.Duration(&o.ttl, 24*time.Hour), "ttl", "how long the bootstrap token is valid")
	return cmd
}

func runBootstrap(cmd *cobra.Command, o *bootstrapOptions, name string) error {
	if o.serverURL == "" {
		o.serverURL = o.server.Config.URL
	}
	if err := o.check(name); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	m := bootstrap.Manifests{
		Cluster: name, Labels: o.labels, DNS: o.dns, ServerURL: o.serverURL,
		Namespace: o.namespace, Image: o.image, Interval: o.interval,
	}
	if o.server.Config.CAFile != "" {
		text, err := os.ReadFile(o.server.Config.CAFile)
		if err != nil {
			return err
		}
		m.CA = string(text)
	}
	client, err := o.server.Client()
	if err != nil {
		return err
	}
	if m.Fleet, err = client.Bootstrap(cmd.Context()); err != nil {
		return remote.Error(err)
	}
	if err := m.FollowFleet(cmd.Flags().Changed("interval")); err != nil {
		return err
	}
	// The token comes last, so that an earlier error leaves no unused token behind.
	token, err := client.CreateToken(cmd.Context(), api.TokenRequest{
		Name: "bootstrap-" + name + "-" + strings.ToLower(rand.Text()[:6]), // valid tokens must not share a name
		Role: fleet.RoleBootstrap, Cluster: name, Labels: o.labels, Uses: 1, TTL: o.ttl.String(),
	})
	if err != nil {
		return remote.Error(err)
	}
	m.Token, m.TokenID = token.Secret, token.ID
	for _, warning := range m.Warnings() {
		fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", textfmt.Visible(warning))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "tributary: the output registers cluster %q once, within %s: treat it as a secret\n", name, o.ttl)
	return m.Print(cmd.OutOrStdout())
}

// check rejects what the cluster could not use.
func (o *bootstrapOptions) check(name string) error {
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
		return fmt.Errorf("cluster %q: %s", name, wrong[0])
	}
	if wrong := validation.IsDNS1123Label(o.namespace); len(wrong) > 0 {
		return fmt.Errorf("--namespace %q: %s", o.namespace, wrong[0])
	}
	switch {
	case o.ttl <= 0:
		return fmt.Errorf("--ttl %s: must be positive", o.ttl)
	case o.interval < time.Second:
		return fmt.Errorf("--interval %s: must be at least 1s", o.interval)
	case o.image == "":
		return errors.New("--image: must not be empty")
	}
	// The client refuses to send a token in the clear, as it will in the cluster.
	_, err := client.New(client.Config{URL: o.serverURL, Token: "token"})
	return err
}
