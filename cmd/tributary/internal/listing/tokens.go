package listing

import (
	"fmt"
	"io"
	"time"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/selector"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/table"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/textfmt"
	"github.com/tributary-gitops/tributary/server/api"
)

// Tokens prints a row for each token.
func Tokens(w io.Writer, tokens []api.Token, now time.Time) error {
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
