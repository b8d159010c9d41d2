package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/changelog"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/flags"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

func newToken() *cobra.Command {
	o := &remote.Flags{}
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create and revoke the credentials of people, pipelines and clusters",
		Long: `Creates and revokes tokens. A token is shown only once, when it is created, because the
server keeps only its hash. tributary get tokens lists them.`,
		Example: `  tributary token create --name ada --role admin
  tributary token revoke ada

Exit status is 0, or 1 if nothing was changed.`,
	}
	o.Bind(cmd)
	return withSubcommands(cmd, "command", newTokenCreate(o), newTokenRevoke(o))
}

// tokenOptions describe a new token.
type tokenOptions struct {
	request  api.TokenRequest
	role     string
	ttl      time.Duration
	selector string
	match    remote.Match
	store    string
	newStore bool
}

func newTokenCreate(s *remote.Flags) *cobra.Command {
	o := &tokenOptions{}
	cmd := &cobra.Command{
		Use:   "create --role ROLE",
		Short: "Create a token, and print it",
		Long: `Creates a token and prints only the token on standard output. The roles are cluster, which
can poll for one cluster; viewer; operator; admin; and bootstrap, which can register
clusters.

With --store it writes to the change log directly, without a server. This is how the first
admin gets a token. --store takes the same values as that of serve. Before the first start
of the server there is no change log yet, and --create begins one.`,
		Example: `  tributary token create --name ada --role admin --store sqlite:/var/lib/tributary/tributary.db --create
  tributary token create --name eu-pipeline --role operator --selector region=eu --ttl 90d
  tributary token create --name dev-boot --role bootstrap --labels environment=dev --uses 10 --ttl 24h
  tributary token create --name eu-prod-01 --role cluster --cluster eu-prod-01 > token

Exit status is 0, or 1 if no token was created.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return createToken(cmd, s, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.request.Name, "name", "", "name of the token in the history and logs (default: its cluster or role and a random suffix)")
	f.StringVar(&o.role, "role", "", "cluster, viewer, operator, admin or bootstrap")
	f.StringVar(&o.request.Cluster, "cluster", "", "cluster that polls with it (role cluster), or the only cluster that it can register (role bootstrap)")
	f.StringToStringVar(&o.request.Labels, "labels", nil, "labels of the clusters that it registers, such as environment=dev,region=eu (role bootstrap)")
	f.IntVar(&o.request.Uses, "uses", 0, "number of clusters that it can register; 0 for any number (role bootstrap)")
	f.Var(flags.Duration(&o.ttl, 0), "ttl", "how long it is valid, such as 90d; 0 until it is revoked")
	f.StringVarP(&o.selector, "selector", "l", "", "labels of the clusters that it can change, in the syntax of kubectl (role operator)")
	o.match.Bind(f)
	f.StringVar(&o.store, "store", "", "change log to write to without a server")
	f.BoolVar(&o.newStore, "create", false, "begin the change log of --store if there is none")
	return cmd
}

func createToken(cmd *cobra.Command, s *remote.Flags, o *tokenOptions) error {
	request, err := o.tokenRequest(cmd)
	if err != nil {
		return fmt.Errorf("token create: %w", err)
	}
	made, err := o.create(cmd.Context(), s, request)
	if err != nil {
		return remote.Error(err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "tributary: token %q (%s) of role %s, %s: keep it, because it is not shown again\n",
		textfmt.Visible(made.Name), textfmt.Visible(made.ID), textfmt.Visible(string(made.Role)), validity(made.ExpiresAt))
	fmt.Fprintln(cmd.OutOrStdout(), made.Secret)
	return nil
}

// tokenRequest returns the request that the flags describe.
func (o *tokenOptions) tokenRequest(cmd *cobra.Command) (api.TokenRequest, error) {
	request := o.request
	request.Role = fleet.Role(o.role)
	switch {
	case o.role == "":
		return request, errors.New("--role is missing: must be cluster, viewer, operator, admin or bootstrap")
	case o.newStore && o.store == "":
		return request, errors.New("--create begins a change log: name it with --store")
	case o.ttl < 0:
		return request, fmt.Errorf("--ttl %s: must not be negative", o.ttl)
	case o.ttl > 0:
		request.TTL = o.ttl.String()
	}
	if cmd.Flags().Changed("selector") {
		parsed, err := selector.Parse(o.selector)
		if errors.Is(err, selector.ErrEmpty) {
			err = fmt.Errorf("%w, or leave out --selector for an operator of all clusters", err)
		}
		if err != nil {
			return request, err
		}
		request.Selector = parsed
	}
	return request, nil
}

func (o *tokenOptions) create(ctx context.Context, s *remote.Flags, request api.TokenRequest) (api.CreatedToken, error) {
	if o.store != "" {
		return changelog.CreateToken(ctx, o.store, o.newStore, request)
	}
	client, err := s.Client()
	if err != nil {
		return api.CreatedToken{}, err
	}
	if err := o.match.Selector(ctx, client, "selector", o.selector); err != nil {
		return api.CreatedToken{}, err
	}
	for key, value := range request.Labels { // the first cluster with all of them may be still to come
		if err := o.match.Selector(ctx, client, "labels", key+"="+value); err != nil {
			return api.CreatedToken{}, err
		}
	}
	return client.CreateToken(ctx, request)
}

func validity(expires *time.Time) string {
	if expires == nil {
		return "valid until it is revoked"
	}
	return "valid until " + textfmt.Time(*expires)
}

func newTokenRevoke(s *remote.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke a token, by its name or ID",
		Long:  `Revokes a token, given by name or ID. It stops working on every server within a second.`,
		Example: `  tributary token revoke eu-pipeline

Exit status is 0, or 1 if the token does not exist or the server does not answer.`,
		Args: named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := s.Client()
			if err != nil {
				return err
			}
			done, err := client.RevokeToken(cmd.Context(), args[0])
			if err != nil {
				return remote.Error(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "generation %d: token %q is revoked\n", done.Generation, args[0])
			return nil
		},
	}
}
