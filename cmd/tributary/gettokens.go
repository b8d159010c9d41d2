package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetTokens(o *getOptions) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "tokens [NAME]...",
		Aliases: []string{"token"},
		Short:   "Show the valid tokens, without their secrets",
		Long: `Shows each token with its role, what it is for, its last use and its expiry. The secret
of a token is shown only once, when the token is created. Requires an admin token.`,
		Example: `  tributary get tokens
  tributary get tokens --all -o json

Exit status is 0, or 1 if the server does not answer.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(cmd, o, listing.Tokens, func(ctx context.Context, c *client.Client) (listing.Answer[api.Token], error) {
				tokens, err := c.Tokens(ctx, all)
				if err != nil {
					return listing.Answer[api.Token]{}, err
				}
				return pick("token", tokens, args, func(k api.Token, name string) bool { return k.Name == name || k.ID == name })
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "include revoked and expired tokens")
	return cmd
}
