package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
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

` + serverHelp,
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
				return tokenTable(w, tokens, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "include revoked and expired tokens")
	return cmd
}

func tokenTable(w io.Writer, tokens []api.Token, now time.Time) error {
	t := table.New(w, "NAME", "ID", "ROLE", "FOR", "USES", "LAST USE", "CREATED BY", "VALID UNTIL")
	for _, k := range tokens {
		t.Row(k.Name, k.ID, string(k.Role), tokenScope(k), tokenUses(k), textfmt.Age(k.LastUsedAt, now), k.CreatedBy, tokenEnd(k, now))
	}
	return t.Flush()
}

// tokenScope returns the clusters that a token is limited to, "" for no limit.
func tokenScope(k api.Token) string {
	switch {
	case k.Selector != nil:
		return selector.Describe(k.Selector, nil)
	case k.Cluster != "":
		return k.Cluster
	}
	return labelText(k.Labels)
}

func tokenUses(k api.Token) string {
	switch {
	case k.Uses > 0:
		return fmt.Sprintf("%d of %d", k.Used, k.Uses)
	case k.Used > 0:
		return fmt.Sprint(k.Used)
	}
	return ""
}

func tokenEnd(k api.Token, now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked " + textfmt.Time(*k.RevokedAt)
	case k.ExpiresAt == nil:
		return ""
	case !now.Before(*k.ExpiresAt):
		return "expired " + textfmt.Time(*k.ExpiresAt)
	}
	return textfmt.Time(*k.ExpiresAt)
}
