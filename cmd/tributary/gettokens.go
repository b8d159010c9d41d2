package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/listing"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/remote"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/client"
)

func newGetTokens(o *getOptions) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "Show the valid tokens, without their secrets",
		Long: `Shows each token with its role, what it is for, its last use and its expiry. The secret
of a token is shown only once, when the token is created. Requires an admin token.

` + remote.Help,
		Example: `  tributary get tokens
  tributary get tokens --all -o json

Exit status is 0, or 1 if the server does not answer.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd, func(ctx context.Context, c *client.Client, w io.Writer) error {
				tokens, err := c.Tokens(ctx, all)
				if err != nil {
					return err
				}
				if o.output != "" {
					return o.print(w, api.List[api.Token]{Items: tokens})
				}
				return listing.Tokens(w, tokens, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "include revoked and expired tokens")
	return cmd
}
