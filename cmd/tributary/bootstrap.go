package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

type bootstrapOptions struct {
	server    serverFlags
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
		Short: "Print what a new cluster needs, ready for kubectl apply",
		Long: `Prints manifests for a new cluster that has Flux Operator: a Job that registers the
cluster and puts its token into a Secret, with the rights to do so and nothing else; a
ResourceSetInputProvider for each input set; and the fleet repo's ResourceSets. In them
is a bootstrap token, made for this, that registers this one cluster, once: treat what
is printed as a secret. Takes an admin's token.

With --ca-file the cluster trusts these certificates as well. The server has another
address in the cluster than here where --server-url says so.

` + serverHelp,
		Example: `  tributary bootstrap edge-7 --labels environment=dev,region=eu | kubectl apply -f -
  tributary bootstrap edge-7 --labels environment=dev --server https://10.0.0.7 \
    --server-url https://tributary.example.com --ca-file ca.pem --ttl 1h > edge-7.yaml

Exit status is 0, or 1 if nothing was printed.`,
		Args: named("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error { return bootstrap(cmd, o, args[0]) },
	}
	o.server.bind(cmd)
	f := cmd.Flags()
	f.StringVar(&o.serverURL, "server-url", "", "URL of the server as the cluster reaches it (default: that of --server)")
	f.StringToStringVar(&o.labels, "labels", nil, "labels of the cluster, such as environment=dev,region=eu")
	f.StringVar(&o.dns, "dns", "", "another name for the cluster's polls, with a dot in it")
	f.StringVar(&o.namespace, "namespace", "flux-system", "namespace that all of it goes into")
	f.StringVar(&o.image, "image", "ghcr.io/tributary-gitops/tributary:"+version, "image of the Job")
	f.DurationVar(&o.interval, "interval", 5*time.Minute, "how often the cluster polls")
	f.DurationVar(&o.ttl, "ttl", 24*time.Hour, "how long the bootstrap token is valid")
	return cmd
}

func bootstrap(cmd *cobra.Command, o *bootstrapOptions, name string) error {
	if o.serverURL == "" {
		o.serverURL = o.server.config.URL
	}
	if err := o.check(name); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	manifest := bootstrapManifest{options: o, Cluster: name}
	if o.server.config.CAFile != "" {
		text, err := os.ReadFile(o.server.config.CAFile)
		if err != nil {
			return err
		}
		manifest.CA = string(text)
	}
	client, err := o.server.client()
	if err != nil {
		return err
	}
	if err := o.fill(cmd.Context(), client, &manifest); err != nil {
		return refused(err)
	}
	for _, warning := range manifest.warnings() {
		fmt.Fprintln(cmd.ErrOrStderr(), "tributary: warning:", visible(warning))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "tributary: what is printed registers cluster %q, once and within %s: treat it as a secret\n", name, o.ttl)
	return manifest.print(cmd.OutOrStdout())
}

// fill asks for what the cluster needs; for the token last, because one that nobody
// gets to see would be left over.
func (o *bootstrapOptions) fill(ctx context.Context, c *client.Client, m *bootstrapManifest) (err error) {
	if m.answer, err = c.Bootstrap(ctx); err != nil {
		return err
	}
	token, err := c.CreateToken(ctx, api.TokenRequest{TTL: o.ttl.String(), TokenRequest: fleet.TokenRequest{
		Name: "bootstrap-" + m.Cluster + "-" + strings.ToLower(rand.Text()[:6]), // another each time: valid ones must not share a name
		Role: fleet.RoleBootstrap, Cluster: m.Cluster, Labels: o.labels, Uses: 1,
	}})
	m.Token, m.tokenID = token.Secret, token.ID
	return err
}

// check tells what the cluster could not do anything with.
func (o *bootstrapOptions) check(name string) error {
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
		return fmt.Errorf("cluster %q: %s", name, wrong[0])
	}
	if wrong := validation.IsDNS1123Label(o.namespace); len(wrong) > 0 {
		return fmt.Errorf("--namespace %q: %s", o.namespace, wrong[0])
	}
	switch {
	case o.ttl <= 0:
		return fmt.Errorf("--ttl %s: must be a time to come", o.ttl)
	case o.interval < time.Second:
		return fmt.Errorf("--interval %s: must be a second at least", o.interval)
	case o.image == "":
		return errors.New("--image: names none")
	}
	// A client refuses what would send a token in the clear, and so it would there.
	_, err := client.New(client.Config{URL: o.serverURL, Token: "token"})
	return err
}

// flags are what the Job tells tributary register.
func (o *bootstrapOptions) flags(m *bootstrapManifest) []string {
	args := []string{"register", "--server=" + o.serverURL, "--token-file=/etc/tributary/bootstrap/token",
		"--name=" + m.Cluster, "--secret=" + o.namespace + "/" + tokenSecret}
	if len(o.labels) > 0 {
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(o.labels)) {
			pairs = append(pairs, key+"="+o.labels[key])
		}
		args = append(args, "--labels="+strings.Join(pairs, ","))
	}
	if o.dns != "" {
		args = append(args, "--dns="+o.dns)
	}
	if m.CA != "" {
		args = append(args, "--ca-file=/etc/tributary/ca/ca.crt")
	}
	return args
}

// pollURL is where the cluster polls a set.
func (o *bootstrapOptions) pollURL(cluster, set string) string {
	return strings.TrimSuffix(o.serverURL, "/") + "/api/v1/flux/clusters/" + url.PathEscape(cluster) + "/" + url.PathEscape(set)
}

// tokenSecret is the Secret that the providers read the cluster's token from.
const tokenSecret = "tributary-token"
